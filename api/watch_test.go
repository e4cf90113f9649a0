package api_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"belfry/internal/metrics/metricstest"
)

// Requests count by the pattern of their path, so that ids make no series.
func TestMetrics(t *testing.T) {
	t.Parallel()
	m := metricstest.New()
	s := newStore()
	cfg := config(s)
	cfg.Metrics, cfg.Scrape = m.API, m.Handler(cfg.Log)
	srv := server(t, cfg)
	for _, r := range []struct{ method, path, body string }{
		{"POST", "/route/db", `{"id":"r","type":"NATS"}`},
		{"GET", "/route/db/r", ""},
		{"GET", "/route/db/none", ""},
		{"PUT", "/route/db", ""},
		{"GET", "/nowhere/123", ""},
		{"BREW", "/route/db", ""},
		{"GET", "/healthz", ""},
	} {
		do(t, srv, r.method, r.path, r.body)
	}
	head, err := srv.Client().Head(srv.URL + "/route/db/r")
	if err != nil {
		t.Fatal(err)
	}
	head.Body.Close()
	want := map[string]float64{
		`belfry_api_requests_total{method="POST",path="/route/{db}",status="200"}`:      1,
		`belfry_api_requests_total{method="GET",path="/route/{db}/{id}",status="200"}`:  1,
		`belfry_api_requests_total{method="GET",path="/route/{db}/{id}",status="400"}`:  1,
		`belfry_api_requests_total{method="HEAD",path="/route/{db}/{id}",status="200"}`: 1,
		`belfry_api_requests_total{method="PUT",path="none",status="405"}`:              1,
		`belfry_api_requests_total{method="GET",path="none",status="404"}`:              1,
		`belfry_api_requests_total{method="other",path="none",status="405"}`:            1,
		`belfry_api_requests_total{method="GET",path="/healthz",status="200"}`:          1,
		`belfry_api_request_seconds_count{method="GET",path="/route/{db}/{id}"}`:        2,
		`belfry_api_requests_in_flight`:                                                 0,
	}
	for series, value := range want {
		if got := metricstest.Value(t, m, series); got != value {
			t.Errorf("%s is %v, want %v", series, got, value)
		}
	}
	scrape, err := srv.Client().Get(srv.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer scrape.Body.Close()
	text, err := io.ReadAll(scrape.Body)
	if err != nil || scrape.StatusCode != 200 || !strings.Contains(string(text), "\nbelfry_api_requests_in_flight 1\n") {
		t.Errorf("GET /metrics: %d, %v, want 200 with itself under way in\n%.2000s", scrape.StatusCode, err, text)
	}
}

func TestNoMetrics(t *testing.T) {
	t.Parallel()
	cfg := config(newStore())
	cfg.Metrics, cfg.Scrape = nil, nil
	if got := do(t, server(t, cfg), "GET", "/metrics", ""); got.status != 404 {
		t.Errorf("GET /metrics without metrics: %d, want 404", got.status)
	}
}

// A client that leaves does not count as a success.
func TestMetricsOfAClientThatLeft(t *testing.T) {
	t.Parallel()
	m := metricstest.New()
	s := newStore()
	began := make(chan struct{})
	s.fail = func(ctx context.Context) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}
	cfg := config(s)
	cfg.Metrics, cfg.Timeout = m.API, time.Minute
	srv := server(t, cfg)
	ctx, leave := context.WithCancel(t.Context())
	go func() { <-began; leave() }()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/route/db/r", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := srv.Client().Do(req); err == nil {
		t.Fatal("the request was answered after its client left")
	}
	srv.Close() // waits for the handler
	if got := metricstest.Value(t, m, `belfry_api_requests_total{method="GET",path="/route/{db}/{id}",status="499"}`); got != 1 {
		t.Errorf("%v requests of clients that left, want 1", got)
	}
	if got := metricstest.Value(t, m, `belfry_api_requests_in_flight`); got != 0 {
		t.Errorf("%v requests are under way, want 0", got)
	}
}
