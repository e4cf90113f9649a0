package due

import (
	"math"
	"time"

	"belfry/internal/job"
)

// permitsAhead is for how long permits are asked for at once: long enough that
// asking costs little, and short enough that the partitions of a route take
// turns. One that is older is not used any more, so what can come at once behind a
// delay is what this time has permits for, over all partitions.
const permitsAhead = 250 * time.Millisecond

// permitRequest is for how many permits to ask.
type permitRequest struct {
	Route job.RouteKey
	N     int
}

// PermitsWanted returns what to ask permits for: jobs that wait at a gate for no other
// reason. It counts on each being answered with [Queue.Grant].
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

// Grant takes in permits. Those for jobs that are gone meanwhile are lost. Those
// of a burst are for a time that is past, and begin to grow old now.
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

// NextOpening returns when a gate with waiting records opens further by itself;
// zero is not before something else happens.
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
