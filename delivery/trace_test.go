package delivery_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"belfry/delivery"
	"belfry/internal/job"
	"belfry/internal/tracing"
)

const jobTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// receivedTrace delivers one fire with the trace of its job and returns the
// traceparent that its receiver got.
func receivedTrace(t *testing.T, cfg delivery.Config, trace string) (got string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("traceparent") })
		s := newStore(t)
		s.run(cfg, rec.dial)
		key := s.addRoute("r", "http://user:hunter2@h.example/?token=hunter3")
		s.fire(key, func(h *job.Handover) { h.Trace = trace })
		s.awaitAcks(1)
	})
	return got
}

func TestTraceIsPassedOn(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"", jobTrace} {
		if got := receivedTrace(t, delivery.Config{}, want); got != want {
			t.Errorf("the receiver got the traceparent %q, want %q", got, want)
		}
	}
}

// With spans the receiver gets its try's traceparent, which belongs to the job's
// trace. The span does not contain the URL.
func TestSpanOfATry(t *testing.T) {
	t.Parallel()
	exported := tracetest.NewInMemoryExporter()
	got := receivedTrace(t, delivery.Config{Tracer: tracing.New(sdktrace.WithSyncer(exported), "test")}, jobTrace)
	spans := exported.GetSpans()
	if len(spans) != 1 {
		t.Fatalf("%d spans, want 1", len(spans))
	}
	span := spans[0]
	want := "00-0af7651916cd43dd8448eb211c80319c-" + span.SpanContext.SpanID().String() + "-01"
	if got != want || span.Name != "deliver" || span.Parent.SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("the receiver got %q from the span %s with the parent %s; want %q", got, span.Name, span.Parent.SpanID(), want)
	}
	text := fmt.Sprint(span.Attributes)
	if strings.Contains(text, "hunter") || !strings.Contains(text, "belfry.route") {
		t.Errorf("the span says %s, want the route and nothing of the URL", text)
	}
}
