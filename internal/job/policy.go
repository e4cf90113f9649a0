package job

import "time"

// RetryPolicy says when a failed try is repeated and when to give up.
type RetryPolicy struct {
	MaxAttempts int           // tries in all, the first included
	First       time.Duration // wait before the second try, before jitter
	Multiplier  float64       // each wait is this much longer than the last
	Max         time.Duration // the longest wait, jitter included
	Jitter      float64       // each wait varies by this share, up and down
}

// DefaultRetry is the policy of every route: about 1 s, 3 s, 9 s … up to an
// hour apart, 12 tries, which takes about 3.8 hours.
func DefaultRetry() RetryPolicy {
	return RetryPolicy{MaxAttempts: 12, First: time.Second, Multiplier: 3, Max: time.Hour, Jitter: 0.2}
}
