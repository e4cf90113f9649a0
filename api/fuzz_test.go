package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"belfry/api"
)

// Whatever a request contains, its answer is JSON and no fault of the server's.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/job/db/coll/one", "", "Bearer x", "", "")
	f.Add("PUT", "/job/db/coll/a%2Fb", "", "", `"4711"`, `{"trigger_time":1667659342626}`)
	f.Add("POST", "/job/db/coll", "", "", "*", `{"id":"one","trigger_time":1667659342626,"route":"r"}`)
	f.Add("POST", "/route/db", "", "Basic eDp4", "", `{"id":"r","type":"NATS"}`)
	f.Add("GET", "/job/db", "limit=2&cursor=0-3-0&status=dead", "", "", "")
	f.Add("DELETE", "/dead/db/18446744073709551616", "", "", `W/"1"`, "")
	f.Add("BREW", "/%ff", "%", "bearer", "", "")
	handler := api.New(config(newStore()))
	f.Fuzz(func(t *testing.T, method, path, query, authorization, match, body string) {
		if strings.Contains(path, "bulk") || path == "/docs" || path == "/" || path == "/metrics" {
			return // their answers are not single JSON values
		}
		unescaped, err := url.PathUnescape(path)
		if err != nil {
			return // net/http refuses it
		}
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", strings.NewReader(body))
		r.Method, r.URL = method, &url.URL{Path: unescaped, RawPath: path, RawQuery: query}
		r.Header = http.Header{"Authorization": {authorization}, "If-Match": {match}, "Traceparent": {match}}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code >= 500 || method != http.MethodHead && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %q?%q with %q, %q and %q: got %d %s", method, path, query, authorization, match, body, w.Code, w.Body)
		}
	})
}
