package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"belfry/internal/job"
	"belfry/internal/loglimit"
	"belfry/internal/room"
	"belfry/internal/tracing"
)

// The code below is the same for every way of calling [Operations].

// Panicked returns the error for an operation's panic. It is called where the panic is
// recovered.
func Panicked(v any) error { return fmt.Errorf("panic: %v\n%s", v, debug.Stack()) }

// RetryAfter returns the header of that name for an answer, or "" if it has none. If
// Belfry cannot do something now, another try in a second is worthwhile.
func (row ErrorRow) RetryAfter() string {
	if row.Status == http.StatusServiceUnavailable {
		return "1"
	}
	return ""
}

// Log logs the refusal of a request if the trouble is Belfry's own; the line says what
// was asked. If the request asks whether Belfry is ready, "not ready" is an answer and
// no trouble.
func (row ErrorRow) Log(log *slog.Logger, err error, asked ...any) {
	switch {
	case row.Err == errNotReady:
		log.Debug("not ready", "error", err)
	case row.Err == room.ErrFull:
		log.Debug("no room for a request", append(asked, "error", err)...) // the owner of the bound logs it
	case row.Status >= http.StatusInternalServerError:
		ctx := loglimit.Cause(loglimit.Outside(context.Background(), "request failed: "+row.Code))
		log.ErrorContext(ctx, "request failed", append(append([]any{"code", row.Code}, asked...), "error", err)...)
	}
}

// Traceparent returns the traceparent of a request, given all values of the header, or
// "" unless it is exactly one and valid.
func Traceparent(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return job.ParseTrace(values[0])
}

// EndSpan ends the span of a request, using the names of OpenTelemetry's semantic
// conventions. The span has failed if the trouble is Belfry's.
func EndSpan(span tracing.Span, status int) {
	span.Number("http.response.status_code", int64(status))
	failure := ""
	if status >= http.StatusInternalServerError {
		failure = http.StatusText(status)
	}
	span.End(failure)
}
