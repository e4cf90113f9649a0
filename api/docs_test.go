package api_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"belfry/api"
)

func TestDocs(t *testing.T) {
	t.Parallel()
	cfg := config(newStore())
	cfg.Version = "v1.2.3<"
	srv := server(t, cfg)
	expect(t, srv, "GET", "/", "", 200,
		`{"name":"belfry","version":"v1.2.3\u003c","links":{"db":"/db","docs":"/docs","healthz":"/healthz","openapi.json":"/openapi.json","readyz":"/readyz"}}`)
	if got := do(t, srv, "GET", "/openapi.json", ""); got.body+"\n" != string(api.OpenAPI()) {
		t.Errorf("/openapi.json has %d bytes, want the %d embedded", len(got.body), len(api.OpenAPI()))
	}
	page := func(path string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/html,*/*")
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if ct := resp.Header.Get("Content-Type"); err != nil || resp.StatusCode != 200 || ct != "text/html; charset=utf-8" {
			t.Errorf("%s: status %d, Content-Type %q, %v; want an HTML page", path, resp.StatusCode, ct, err)
		}
		return string(body)
	}
	if got := page("/"); !strings.Contains(got, `version v1.2.3&lt;`) || !strings.Contains(got, `href="docs"`) {
		t.Errorf("/ is %s; want the version and links", got)
	}
	docs := page("/docs")
	paths := at(spec(), "paths").(map[string]any)
	for _, want := range append(slices.Collect(maps.Keys(paths)), "E303", "retry.max_attempts", "due_before") {
		if !strings.Contains(docs, "<code>"+want) {
			t.Errorf("/docs does not have %s", want)
		}
	}
	for _, loads := range []string{"<script", "src=", "http://", "https://"} {
		if strings.Contains(docs, loads) {
			t.Errorf("/docs has %q; want a page that loads nothing", loads)
		}
	}
}

// For each object of a route, the page also shows the fields of its parts.
func TestDocsShowParts(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	api.New(config(newStore())).ServeHTTP(w, httptest.NewRequest("GET", "/docs", nil))
	for name, own := range map[string]string{"NewRoute": "<code>id</code> *", "RouteChange": "<code>id</code><td>", "Route": "<code>breaker.state</code> *"} {
		_, section, _ := strings.Cut(w.Body.String(), `<h3 id="`+name+`">`)
		section, _, _ = strings.Cut(section, "<h3")
		for _, want := range []string{own, "<code>type</code> *", "<code>retry.max_attempts</code><td>integer", "<code>paused</code><td>boolean"} {
			if !strings.Contains(section, want) {
				t.Errorf("/docs does not have %s of %s", want, name)
			}
		}
	}
}
