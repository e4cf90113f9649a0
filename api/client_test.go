package api_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"belfry/api"
	"belfry/internal/metrics/metricstest"
)

// config is an API over the store, silent.
func config(s *store) api.Config {
	m, log := metricstest.New(), slog.New(slog.DiscardHandler)
	return api.Config{
		Operations: api.Operations{Jobs: jobs{s}, Routes: routes{s}},
		Letters:    letters{s}, Attempts: attempts{s}, Tokens: tokens{s}, Backups: &s.backups,
		Metrics: m.API,
		Scrape:  m.Handler(log),
		Log:     log,
	}
}

// server is a real server over the API.
func server(t *testing.T, cfg api.Config) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(held(t, api.New(cfg)))
	t.Cleanup(srv.Close)
	return srv
}

// unheld is server without the check of answers against the description. It is for
// many large answers that resemble others.
func unheld(t *testing.T, cfg api.Config) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(api.New(cfg))
	t.Cleanup(srv.Close)
	return srv
}

// answer is a response, read, without the newline at its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request whose path is escaped already.
func do(t *testing.T, srv *httptest.Server, method, path, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return send(t, srv, req)
}

func send(t *testing.T, srv *httptest.Server, req *http.Request) answer {
	t.Helper()
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: reading the answer: %v", req.Method, req.URL, err)
	}
	ct := resp.Header.Get("Content-Type")
	media, _, _ := strings.Cut(ct, ";")
	if resp.StatusCode == http.StatusOK && (media == "application/gzip" || media == "text/plain") { // a backup, metrics
		return answer{resp.StatusCode, resp.Header, string(got)}
	}
	if ct != "application/json" {
		t.Errorf("%s %s: Content-Type: got %q, want application/json", req.Method, req.URL, ct)
	}
	body, ended := strings.CutSuffix(string(got), "\n")
	if !ended {
		t.Errorf("%s %s: the answer %q does not end with a newline", req.Method, req.URL, got)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

// expect sends a request and checks the whole answer.
func expect(t *testing.T, srv *httptest.Server, method, path, body string, status int, want string) {
	t.Helper()
	if got := do(t, srv, method, path, body); got.status != status || got.body != want {
		t.Errorf("%s %s %s:\n got %d %s\nwant %d %s", method, path, body, got.status, got.body, status, want)
	}
}

const ok = `{"status":"ok"}`
