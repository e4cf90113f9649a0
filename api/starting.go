package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// errStarting is why requests are not served yet.
var errStarting = errors.New("the start is under way")

// Starting answers in place of the API while Belfry starts. /healthz says that the
// process is alive, /readyz says why it is not ready, and everything else is refused
// as if the store did not answer. doing tells humans what the start is doing.
func Starting(log *slog.Logger, doing func() string) http.Handler {
	a := &api{Config: Config{Log: log, Timeout: DefaultTimeout}, mux: chi.NewRouter()}
	a.Ready = func(context.Context) error { return fmt.Errorf("%w: %s", errStarting, doing()) }
	a.mux.Use(untilAnswered, a.recoverPanic, func(next http.Handler) http.Handler { return a.onlyIf(next, checkOrigin) }, middleware.GetHead)
	for _, e := range endpoints {
		if e.served.kind == probeKind {
			a.register(e)
		}
	}
	refuse := func(w http.ResponseWriter, r *http.Request) {
		refuseRest(r)
		row, _ := ReasonOf(job.ErrUnavailable, false) // not trouble to log
		w.Header().Set("Retry-After", row.RetryAfter())
		reply(w, r, row.Status, contract.AppendRefusal(nil, fmt.Sprintf("%v: %v", job.ErrUnavailable, errStarting), row.Code))
	}
	a.mux.NotFound(refuse)
	a.mux.MethodNotAllowed(refuse)
	return a.mux
}
