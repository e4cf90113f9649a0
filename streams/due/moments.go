package due

import (
	"math"
	"time"

	limits "golang.org/x/time/rate"

	"belfry/internal/job"
)

// Some of the moments that are stored hold jobs back until they are past, and
// another clock has written them: that of another node, of a person, or this one
// before it was set right. None is trusted further ahead than it can honestly have
// been written. docs/design.md lists all of them.

// honestSkew is by how much clocks may differ before that shows here.
const honestSkew = 10 * time.Second

// TooFarAhead is what is logged of a moment that is not used.
const TooFarAhead = "a stored moment is too far ahead and is not used; do the clocks of all nodes agree?"

// NewClockTrouble bounds what is logged of it.
func NewClockTrouble() *limits.Sometimes {
	return &limits.Sometimes{First: 1, Interval: 10 * time.Second}
}

// HonestPermits is how far ahead the next permit of a route can be: for the permits that all
// partitions may hold, and as many that were lost with an owner.
func HonestPermits(limit job.RateLimit, partitions int) time.Duration {
	most := math.Max(1, math.Ceil(limit.PerSecond*permitsAhead.Seconds()))
	seconds := 2 * float64(partitions) * most / limit.PerSecond
	return honestSkew + time.Duration(min(seconds, math.MaxInt32)*float64(time.Second))
}

// HonestBreaker is how far ahead a breaker shuts a gate.
const HonestBreaker = job.BreakerPause + honestSkew

// HonestDue returns the record with a due time that it can honestly have, and
// reports whether that is another one. A trigger time is the client's own; the
// others follow from when the record was written, which is past:
//
//	retrying   no later than the longest wait that there is; else it is due now
//	firing     no later than a claim written now; else as if it were
//	redriven   due when it was written; else it is due now
func HonestDue(r job.Record, now time.Time, patience time.Duration) (job.Record, bool) {
	most, instead := now, now
	switch {
	case r.Status == job.Retrying:
		most = now.Add(job.MaxRetryWait)
	case r.Status == job.Firing:
		most, instead = now.Add(patience), now.Add(patience)
	case r.Status == job.Scheduled && r.Redriven != 0 && r.Due == r.Redriven:
	default:
		return r, false
	}
	if r.Due <= most.Add(honestSkew).UnixMilli() {
		return r, false
	}
	r.Due = instead.UnixMilli()
	return r, true
}
