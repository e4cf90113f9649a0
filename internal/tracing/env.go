package tracing

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// FromEnv returns a tracer that exports as the OTEL_* variables say, or nil if they
// name no destination. The SDK and its exporter read the rest of the variables
// themselves. Traces never keep the program from starting: a wrong value is reported
// by its variable's name and ignored, and errors that keep traces from being exported
// go to the log, too.
func FromEnv(ctx context.Context, version string, log *slog.Logger) *Tracer {
	on := wanted(os.Getenv)
	for _, v := range variables {
		value := os.Getenv(v.name)
		if value == "" || v.valid(value) {
			continue
		}
		on = on && (!v.turnsOff() || overridden(v.name))
		log.Warn("a variable of OpenTelemetry has a value that is not accepted", "variable", v.name, "accepted", v.accepts, "traces", on)
		// The SDK would log the value, or do without traces.
		_ = os.Unsetenv(v.name)
	}
	if !on {
		return nil
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("traces are not exported", "error", err)
	}))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		log.Warn("traces are not exported, since the exporter of OTEL_* cannot be made", "error", err)
		return nil
	}
	return New(sdktrace.WithBatcher(exporter), version)
}

// wanted reports whether the variables ask for traces.
func wanted(getenv func(string) string) bool {
	endpoint := cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	exporter := getenv("OTEL_TRACES_EXPORTER")
	off := strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true")
	return !off && !strings.EqualFold(exporter, "none") && (exporter != "" || endpoint != "")
}
