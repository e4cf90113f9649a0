package due

import (
	"math"
	"time"

	limits "golang.org/x/time/rate"

	"belfry/internal/job"
)

// Some stored times hold jobs back until they are past, and another clock wrote them:
// another node's, a person's, or this one's before it was corrected. None is trusted
// further ahead than it can honestly have been written. docs/design.md lists all of them.

// honestSkew is how far clocks may differ before that shows here.
const honestSkew = 10 * time.Second

// TooFarAhead is the log message about a stored time that is not used.
const TooFarAhead = "a stored moment is too far ahead and is not used; do the clocks of all nodes agree?"

// NewClockTrouble limits how often that message is logged.
func NewClockTrouble() *limits.Sometimes {
	return &limits.Sometimes{First: 1, Interval: 10 * time.Second}
}

// HonestPermits is how far ahead the next permit of a route can be: it covers the permits
// that all partitions may hold, and as many that were lost with an owner.
func HonestPermits(limit job.RateLimit, partitions int) time.Duration {
	most := math.Max(1, math.Ceil(limit.PerSecond*permitsAhead.Seconds()))
	seconds := 2 * float64(partitions) * most / limit.PerSecond
	return honestSkew + time.Duration(min(seconds, math.MaxInt32)*float64(time.Second))
}

// HonestBreaker is how far ahead a breaker can shut a gate.
const HonestBreaker = job.BreakerPause + honestSkew

// HonestDue returns the record with a due time that it can honestly have, and reports
// whether that differs from the stored one. A client chooses the trigger time freely; the
// other due times follow from when the record was written, which is past:
//
//	retrying   no later than the longest retry wait; otherwise it is due now
//	firing     no later than a claim written now; otherwise as if it were
//	redriven   due when it was written; otherwise it is due now
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
