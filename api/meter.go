package api

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"belfry/internal/metrics"
)

// measure counts each request under the pattern of its path, never the path
// itself, whose ids are without number.
func (a *api) measure(next http.Handler) http.Handler {
	if a.Metrics == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		a.Metrics.RequestBegan()
		watched := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		status := metrics.StatusLeft // until next returns; it panics if the client is gone
		defer func() {
			a.Metrics.RequestEnded(r.Method, chi.RouteContext(r.Context()).RoutePattern(), status, time.Since(began))
		}()
		next.ServeHTTP(watched, r)
		if status = watched.Status(); status == 0 {
			status = http.StatusOK // as net/http answers when nobody does
		}
	})
}
