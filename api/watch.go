package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"belfry/internal/metrics"
	"belfry/internal/tracing"
)

// watch counts each request, and makes a span of it unless it is about Belfry itself.
// Both use the pattern of the path, never the path itself, whose ids are unbounded.
func (a *api) watch(next http.Handler) http.Handler {
	if a.Metrics == nil && a.Tracer == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		a.Metrics.RequestBegan()
		span, traced := tracing.Span{}, a.Tracer != nil && !slices.Contains(aboutBelfry, r.URL.Path)
		if traced {
			span = a.Tracer.Server(traceOf(r), r.Method)
			r = r.WithContext(context.WithValue(r.Context(), spanKey{}, span))
		}
		watched := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		status := metrics.StatusLeft // until next returns; it panics if the client is gone
		defer func() {
			pattern := chi.RouteContext(r.Context()).RoutePattern()
			a.Metrics.RequestEnded(r.Method, pattern, status, time.Since(began))
			endSpan(span, r.Method, pattern, status)
		}()
		next.ServeHTTP(watched, r)
		if status = watched.Status(); status == 0 {
			status = http.StatusOK // net/http answers so when nobody else does
		}
	})
}

// aboutBelfry are the paths that machines poll.
var aboutBelfry = pathsOf(probeKind, scrapeKind)
