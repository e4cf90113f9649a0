package tracing_test

import (
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"belfry/internal/tracing"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestNilTracerPassesOn(t *testing.T) {
	t.Parallel()
	var tracer *tracing.Tracer
	for _, want := range []string{"", parent} {
		span := tracer.Server(want, "x")
		span.Name("y")
		span.Text("k", "v")
		span.Number("n", 1)
		if got := span.Traceparent(); got != want {
			t.Errorf("a nil tracer passes on %q, want %q", got, want)
		}
		span.End("wrong")
	}
}

func TestSpans(t *testing.T) {
	t.Parallel()
	exported := tracetest.NewInMemoryExporter()
	tracer := tracing.New(sdktrace.WithSyncer(exported), "v1")
	request := tracer.Server(parent, "POST")
	request.Name("POST /job")
	try := tracer.Client(request.Traceparent(), "deliver")
	try.Text("belfry.db", "games")
	try.Number("belfry.attempt", 2)
	try.End("status 500")
	request.End("")
	root := tracer.Server("", "GET")
	root.End("")
	spans := exported.GetSpans()
	if len(spans) != 3 {
		t.Fatalf("%d spans, want 3", len(spans))
	}
	if got := spans[1]; got.Name != "POST /job" || got.Parent.SpanID().String() != "b7ad6b7169203331" || got.Status.Code != codes.Unset {
		t.Errorf("the span of the request: %s, parent %s, %v", got.Name, got.Parent.SpanID(), got.Status)
	}
	if got := spans[0]; got.SpanContext.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" ||
		got.Parent.SpanID() != spans[1].SpanContext.SpanID() || got.Status.Description != "status 500" || len(got.Attributes) != 2 {
		t.Errorf("the span of the try: trace %s, parent %s, %v, %v", got.SpanContext.TraceID(), got.Parent.SpanID(), got.Status, got.Attributes)
	}
	if got := root.Traceparent(); spans[2].Parent.IsValid() || !strings.HasPrefix(got, "00-"+spans[2].SpanContext.TraceID().String()) {
		t.Errorf("a request without a traceparent: parent %v, passes on %q", spans[2].Parent, got)
	}
}

func TestFromEnv(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		on   bool
		says string
	}{
		{env: nil},
		{env: map[string]string{"OTEL_SERVICE_NAME": "timers"}},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, on: true},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/x"}, on: true},
		{env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, on: true},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "TRUE"}},
		{env: map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, says: `OTEL_TRACES_EXPORTER "zipkin": otlp and none are accepted`},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
			says: `OTEL_EXPORTER_OTLP_PROTOCOL "grpc": http/protobuf is accepted`},
	} {
		for _, name := range []string{
			"OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER",
			"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_SDK_DISABLED",
		} {
			t.Setenv(name, tt.env[name])
		}
		tracer, err := tracing.FromEnv(t.Context(), "v1", slog.New(slog.DiscardHandler))
		if (tracer != nil) != tt.on || (err == nil) != (tt.says == "") || err != nil && err.Error() != tt.says {
			t.Errorf("%v: tracer %v, %v; want one: %v, error %q", tt.env, tracer != nil, err, tt.on, tt.says)
		}
		if tracer != nil {
			if err := tracer.Shutdown(t.Context()); err != nil {
				t.Errorf("%v: Shutdown: %v", tt.env, err)
			}
		}
	}
}
