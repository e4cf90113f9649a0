package api

import (
	"net/http"

	"belfry/internal/job"
)

// traceOf returns the traceparent that a job of the request keeps; empty if it
// has none, or not just one that is valid.
func traceOf(r *http.Request) string {
	if values := r.Header.Values(job.HeaderTrace); len(values) == 1 {
		return job.ParseTrace(values[0])
	}
	return ""
}
