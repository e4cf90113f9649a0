package api

import (
	"net/http"

	"belfry/internal/job"
	"belfry/internal/tracing"
)

// spanKey is the key of the request's span in its context, if it has one.
type spanKey struct{}

// traceOf returns the traceparent that a job of the request keeps: its span's, or
// otherwise the request's own, if it has exactly one and it is valid.
func traceOf(r *http.Request) string {
	if span, ok := r.Context().Value(spanKey{}).(tracing.Span); ok {
		return span.Traceparent()
	}
	return Traceparent(r.Header.Values(job.HeaderTrace))
}

// endSpan is [EndSpan] with the facts of HTTP alone.
func endSpan(span tracing.Span, method, pattern string, status int) {
	if pattern != "" {
		span.Name(method + " " + pattern)
		span.Text("http.route", pattern)
	}
	span.Text("http.request.method", method)
	EndSpan(span, status)
}
