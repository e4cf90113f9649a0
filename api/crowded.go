package api

import (
	"net/http"
	"slices"
	"time"

	"belfry/internal/contract"
	"belfry/internal/room"
)

// TurnPatience is how long [Config.Admit] may take.
const TurnPatience = 5 * time.Second

// probes are the paths that are answered however crowded the server is.
var probes = pathsOf(probeKind)

// admit makes a request wait for its turn. A request that gets none is refused, and
// its connection is closed without a long linger, since others wait for that, too. The
// same holds for a probe with a body, which nobody reads.
func (a *api) admit(next http.Handler) http.Handler {
	if a.Admit == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(probes, r.URL.Path) {
			if b, ok := r.Body.(*body); ok && !b.ended {
				b.refused, b.brief = true, true
			}
			next.ServeHTTP(w, r)
			return
		}
		if a.Admit(r.Context()) == nil {
			next.ServeHTTP(w, r)
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second))
		if b, ok := r.Body.(*body); ok {
			b.ended = true // for this handler
		}
		row, _ := ReasonOf(room.ErrFull, false)
		w.Header().Set("Connection", "close")
		w.Header().Set("Retry-After", row.RetryAfter())
		reply(w, r, row.Status, contract.AppendRefusal(nil, "all connections are busy (--max-connections)", row.Code))
	})
}
