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

// What follows is the same whichever way [Operations] are asked for.

// Panicked is the error of what an operation panicked with, called where that is
// recovered.
func Panicked(v any) error { return fmt.Errorf("panic: %v\n%s", v, debug.Stack()) }

// RetryAfter is the header of that name for an answer, or empty if it has none:
// what Belfry cannot do now is worth another try in a second.
func (row ErrorRow) RetryAfter() string {
	if row.Status == http.StatusServiceUnavailable {
		return "1"
	}
	return ""
}

// Log logs what a request was refused with, if that is trouble of Belfry's own:
// a line that says what was asked. That Belfry is not ready is an answer, for
// who asks that, and no trouble.
func (row ErrorRow) Log(log *slog.Logger, err error, asked ...any) {
	switch {
	case row.Err == errNotReady:
		log.Debug("not ready", "error", err)
	case row.Err == room.ErrFull:
		log.Debug("no room for a request", append(asked, "error", err)...) // who bounds it tells
	case row.Status >= http.StatusInternalServerError:
		ctx := loglimit.Cause(loglimit.Outside(context.Background(), "request failed: "+row.Code))
		log.ErrorContext(ctx, "request failed", append(append([]any{"code", row.Code}, asked...), "error", err)...)
	}
}

// Traceparent returns the one that a request came with, given all values of the
// header, or "" if it is not one, or not valid.
func Traceparent(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return job.ParseTrace(values[0])
}

// EndSpan ends the span of a request, in the names of OpenTelemetry's semantic
// conventions. It has failed if the trouble is Belfry's.
func EndSpan(span tracing.Span, status int) {
	span.Number("http.response.status_code", int64(status))
	failure := ""
	if status >= http.StatusInternalServerError {
		failure = http.StatusText(status)
	}
	span.End(failure)
}
