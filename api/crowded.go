package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// errCrowded is [Config.Admit]'s refusal.
var errCrowded = errors.New("all connections are busy")

// probes are the paths that are answered however crowded it is.
var probes = []string{"/healthz", "/readyz"}

// admit lets a request wait for its turn. One that gets none is refused, and its
// connection closed without a long good-bye: others wait for that, too.
func (a *api) admit(next http.Handler) http.Handler {
	if a.Admit == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(probes, r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		if err := a.Admit(r.Context()); err != nil {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second))
			if b, ok := r.Body.(*body); ok {
				b.ended = true // for us
			}
			w.Header().Set("Connection", "close")
			a.refuse(w, r, fmt.Errorf("%w: %w", errCrowded, err))
			return
		}
		next.ServeHTTP(w, r)
	})
}
