package api_test

import (
	"net/http"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"belfry/internal/job"
	"belfry/internal/tracing"
)

// A job keeps the traceparent of the request that made or changed it.
func TestTraceIsKept(t *testing.T) {
	t.Parallel()
	const trace, other = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
	s := newStore()
	srv := server(t, config(s))
	do(t, srv, "POST", "/route/db", `{"id":"r","type":"NATS"}`)
	for _, tt := range []struct {
		method, path string
		headers      []string
		want         string
	}{
		{"POST", "/job/db/c", []string{trace}, trace},
		{"PUT", "/job/db/c/j", []string{other}, other},
		{"PUT", "/job/db/c/j", nil, ""},
		{"PUT", "/job/db/c/j", []string{trace, other}, ""},
		{"PUT", "/job/db/c/j", []string{"nonsense"}, ""},
		{"PUT", "/job/db/c/j", []string{trace + strings.Repeat("-x", 10_000)}, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, srv.URL+tt.path, strings.NewReader(`{"id":"j","trigger_time":4102444800000,"route":"r"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Traceparent"] = tt.headers
		if got := send(t, srv, req); got.status != 200 {
			t.Errorf("%s %s with %.100q: %d %s, want 200", tt.method, tt.path, tt.headers, got.status, got.body)
		}
		s.mu.Lock()
		got := s.jobs[job.Key{DB: "db", Collection: "c", ID: "j"}].Trace
		s.mu.Unlock()
		if got != tt.want {
			t.Errorf("%s %s with %.100q: the job has the trace %q, want %q", tt.method, tt.path, tt.headers, got, tt.want)
		}
	}
	if got := do(t, srv, "GET", "/job/db/c/j", ""); strings.Contains(got.body, "trace") {
		t.Errorf("GET shows %s, want nothing of the trace", got.body)
	}
}

// With spans a job keeps its request's span, and probes make no spans.
func TestSpanOfARequest(t *testing.T) {
	t.Parallel()
	exported := tracetest.NewInMemoryExporter()
	s := newStore()
	cfg := config(s)
	cfg.Tracer = tracing.New(sdktrace.WithSyncer(exported), "test")
	srv := server(t, cfg)
	do(t, srv, "POST", "/route/db", `{"id":"r","type":"NATS"}`)
	do(t, srv, "GET", "/healthz", "")
	do(t, srv, "POST", "/job/db/c", `{"id":"j","trigger_time":4102444800000,"route":"r"}`)
	srv.Close()
	spans := exported.GetSpans()
	if len(spans) != 2 || spans[1].Name != "POST /job/{db}/{collection}" {
		t.Fatalf("spans %+v, want those of two requests", spans)
	}
	span := spans[1].SpanContext
	want := "00-" + span.TraceID().String() + "-" + span.SpanID().String() + "-01"
	if got := s.jobs[job.Key{DB: "db", Collection: "c", ID: "j"}].Trace; got != want {
		t.Errorf("the job has the trace %q, want that of its request, %q", got, want)
	}
}
