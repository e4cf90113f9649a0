package api

import (
	"net/http"

	"belfry/internal/job"
	"belfry/internal/tracing"
)

// spanKey is the key of the request's span in its context, if it has one.
type spanKey struct{}

// traceOf returns the traceparent that a job of the request keeps: that of its
// span, or else the one that it came with, if that is one and valid.
func traceOf(r *http.Request) string {
	if span, ok := r.Context().Value(spanKey{}).(tracing.Span); ok {
		return span.Traceparent()
	}
	if values := r.Header.Values(job.HeaderTrace); len(values) == 1 {
		return job.ParseTrace(values[0])
	}
	return ""
}

// endSpan ends the span of a request, in the names of OpenTelemetry's semantic
// conventions.
func endSpan(span tracing.Span, method, pattern string, status int) {
	if pattern != "" {
		span.Name(method + " " + pattern)
		span.Text("http.route", pattern)
	}
	span.Text("http.request.method", method)
	span.Number("http.response.status_code", int64(status))
	failure := ""
	if status >= http.StatusInternalServerError {
		failure = http.StatusText(status)
	}
	span.End(failure)
}
