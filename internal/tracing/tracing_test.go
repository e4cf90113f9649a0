package tracing_test

import (
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"belfry/internal/logtest"
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
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	at := func(more ...string) map[string]string {
		env := map[string]string{endpoint: "http://127.0.0.1:1"}
		for i := 0; i < len(more); i += 2 {
			env[more[i]] = more[i+1]
		}
		return env
	}
	for _, tt := range []struct {
		env   map[string]string
		on    bool
		wrong string // the variable that the log names
	}{
		{env: nil},
		{env: map[string]string{"OTEL_SERVICE_NAME": "timers"}},
		{env: at(), on: true},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/x"}, on: true},
		{env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, on: true},
		{env: at("OTEL_TRACES_EXPORTER", "none")},
		{env: at("OTEL_SDK_DISABLED", "TRUE")},
		{env: at("OTEL_RESOURCE_ATTRIBUTES", "a=b, c=d%20e", "OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "0.5"), on: true},

		{env: map[string]string{"OTEL_TRACES_EXPORTER": "hunter2"}, wrong: "OTEL_TRACES_EXPORTER"},
		{env: at("OTEL_TRACES_EXPORTER", "hunter2"), wrong: "OTEL_TRACES_EXPORTER"},
		{env: at("OTEL_EXPORTER_OTLP_PROTOCOL", "hunter2"), wrong: "OTEL_EXPORTER_OTLP_PROTOCOL"},
		{env: at("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "hunter2"), wrong: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"},
		{env: map[string]string{endpoint: "hunter2:4317"}, wrong: endpoint},
		// The variable for traces counts, where there is one.
		{env: at("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"), on: true, wrong: "OTEL_EXPORTER_OTLP_PROTOCOL"},
		{env: at("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"), wrong: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"},
		{env: map[string]string{endpoint: "hunter2:4317", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/x"}, on: true, wrong: endpoint},
		{env: at("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "hunter2:4317"), wrong: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
		{env: map[string]string{endpoint: "http://%hunter2"}, wrong: endpoint},
		{env: at("OTEL_SDK_DISABLED", "hunter2"), on: true, wrong: "OTEL_SDK_DISABLED"},
		{env: at("OTEL_TRACES_SAMPLER", "hunter2"), on: true, wrong: "OTEL_TRACES_SAMPLER"},
		{env: at("OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "hunter2"), on: true, wrong: "OTEL_TRACES_SAMPLER_ARG"},
		{env: at("OTEL_RESOURCE_ATTRIBUTES", "hunter2"), on: true, wrong: "OTEL_RESOURCE_ATTRIBUTES"},
		{env: at("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"), on: true, wrong: "OTEL_EXPORTER_OTLP_HEADERS"},
		{env: at("OTEL_EXPORTER_OTLP_HEADERS", "a=%zzhunter2"), on: true, wrong: "OTEL_EXPORTER_OTLP_HEADERS"},
		{env: at("OTEL_EXPORTER_OTLP_COMPRESSION", "hunter2"), on: true, wrong: "OTEL_EXPORTER_OTLP_COMPRESSION"},
		{env: at("OTEL_EXPORTER_OTLP_TIMEOUT", "hunter2"), on: true, wrong: "OTEL_EXPORTER_OTLP_TIMEOUT"},
		{env: at("OTEL_EXPORTER_OTLP_INSECURE", "hunter2"), on: true, wrong: "OTEL_EXPORTER_OTLP_INSECURE"},
		{env: at("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/hunter2"), on: true, wrong: "OTEL_EXPORTER_OTLP_CERTIFICATE"},
		{env: at("OTEL_BSP_SCHEDULE_DELAY", "hunter2"), on: true, wrong: "OTEL_BSP_SCHEDULE_DELAY"},
		{env: at("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "hunter2"), on: true, wrong: "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"},
	} {
		t.Run(tt.wrong, func(t *testing.T) {
			for _, name := range tracing.Variables() {
				t.Setenv(name, tt.env[name])
			}
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			log := &logtest.Log{}
			tracer := tracing.FromEnv(t.Context(), "v1", log.Logger())
			if (tracer != nil) != tt.on {
				t.Errorf("%v: a tracer: %v, want one: %v", tt.env, tracer != nil, tt.on)
			}
			if strings.Contains(log.String(), "hunter2") || strings.Count(log.String(), "\n") != min(len(tt.wrong), 1) ||
				tt.wrong != "" && !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), tt.wrong) {
				t.Errorf("%v: the log is %q, want a warning with %q and no value", tt.env, log, tt.wrong)
			}
			if tracer != nil {
				if err := tracer.Shutdown(t.Context()); err != nil {
					t.Errorf("%v: Shutdown: %v", tt.env, err)
				}
			}
		})
	}
}
