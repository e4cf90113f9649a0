package due

import (
	"math"
	"time"

	"belfry/internal/job"
)

// permitsAhead is how much time one request for permits covers: long enough that requests
// cost little, short enough that the partitions of a route take turns. A permit older
// than this is not used. So the burst that can follow a delay is at most the permits of
// this time, over all partitions.
const permitsAhead = 250 * time.Millisecond

// permitRequest says how many permits to request for a route.
type permitRequest struct {
	Route job.RouteKey
	N     int
}

// PermitsWanted returns which permits to request: for jobs that wait at a gate for no
// other reason. The caller answers each request with [Queue.Grant].
func (q *Queue) PermitsWanted(now time.Time) []permitRequest {
	var all []permitRequest
	for g := range q.queues {
		open := q.opening(g.route)
		if open.PerSecond == 0 || g.asking {
			continue
		}
		g.forget(open, now)
		most := max(1, int(math.Ceil(open.PerSecond*permitsAhead.Seconds())))
		n := min(g.waiting.Len(), most, open.Out-g.out) - len(g.permits)
		if n > most/2 || n > 0 && len(g.permits) == 0 {
			g.asking = true
			all = append(all, permitRequest{g.route, n})
		}
	}
	return all
}

// Grant adds permits. Permits for jobs that have gone meanwhile are lost. The permits of
// a burst are for a time that is past; they begin to age now.
func (q *Queue) Grant(k job.RouteKey, permits []time.Time, now time.Time) {
	g := q.gates[k]
	if g == nil {
		return
	}
	g.asking = false
	for _, at := range permits {
		if at.Before(now) {
			at = now
		}
		g.permits = append(g.permits, at)
	}
}

// NextOpening returns when a gate with waiting records opens further by itself; zero
// means not before something else happens.
func (q *Queue) NextOpening(now time.Time) time.Time {
	var first time.Time
	for g := range q.queues {
		at := q.opening(g.route).Again
		if i := g.ripe(now); i < len(g.permits) {
			at = g.permits[i]
		}
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}
