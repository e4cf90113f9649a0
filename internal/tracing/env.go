package tracing

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// FromEnv returns a tracer that exports as the OTEL_* variables say, or nil if
// they say nothing of where to: the SDK and its exporter read the rest of them
// by themselves. What keeps traces from being exported later goes to the log.
func FromEnv(ctx context.Context, version string, log *slog.Logger) (*Tracer, error) {
	wanted, err := wanted(os.Getenv)
	if err != nil || !wanted {
		return nil, err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("traces are not exported", "error", err)
	}))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("couldn't export traces as OTEL_* say: %w", err)
	}
	return New(sdktrace.WithBatcher(exporter), version), nil
}

// wanted reports whether the variables ask for traces, in a way that there is.
func wanted(getenv func(string) string) (bool, error) {
	endpoint := cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	exporter := getenv("OTEL_TRACES_EXPORTER")
	switch {
	case strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true"), exporter == "none", exporter == "" && endpoint == "":
		return false, nil
	case exporter != "" && exporter != "otlp":
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER %q: otlp and none are accepted", exporter)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		switch protocol := getenv(name); protocol {
		case "":
		case "http/protobuf":
			return true, nil
		default:
			return false, fmt.Errorf("%s %q: http/protobuf is accepted", name, protocol)
		}
	}
	return true, nil
}
