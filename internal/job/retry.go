package job

import "time"

// MaxRetryWait is the longest wait between two tries that a policy or a receiver can
// ask for.
const MaxRetryWait = maxWait

// RetryPolicy says when a failed try is repeated and when to give up. The waits
// either grow or come from a fixed list.
type RetryPolicy struct {
	MaxAttempts int           // tries in all, the first included
	First       time.Duration // wait before the second try, before jitter
	Multiplier  float64       // each wait is this much longer than the last
	Max         time.Duration // the longest wait, jitter included
	Jitter      float64       // each wait varies by this share, up and down

	// Schedule, if it is not empty, lists the waits themselves and replaces all of
	// the fields above. It gives one try more than it has waits, without jitter.
	Schedule []time.Duration

	// MaxAge is how long after its trigger time a job may still be retried; zero
	// means no limit.
	MaxAge time.Duration
}

// DefaultRetry is the policy of a route that sets none: about 1 s, 3 s, 9 s … up to
// an hour apart, 12 tries, which takes about 3.8 hours.
func DefaultRetry() RetryPolicy {
	return RetryPolicy{MaxAttempts: 12, First: time.Second, Multiplier: 3, Max: time.Hour, Jitter: 0.2}
}

// IsZero reports whether p sets nothing.
func (p RetryPolicy) IsZero() bool { return p.Equal(RetryPolicy{}) }

// Equal reports whether two policies are the same. Every field counts.
func (p RetryPolicy) Equal(q RetryPolicy) bool { return same(p, q) }

// Attempts returns the number of tries in all.
func (p RetryPolicy) Attempts() int {
	if len(p.Schedule) > 0 {
		return len(p.Schedule) + 1
	}
	return p.MaxAttempts
}
