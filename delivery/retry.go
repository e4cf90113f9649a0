package delivery

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"belfry/internal/job"
)

// retryDelay is how long to wait after failed try number attempt, which counts
// from 1: what the schedule says, if there is one, or else First, times
// Multiplier for each try before it, give or take Jitter, at most Max. By
// default, in seconds:
//
//	after try   1    2    3     4     5      6      7       8       9…11
//	wait        1    3    9    27    81    243    729    2187       3600
//	at least  0.8  2.4  7.2  21.6  64.8  194.4  583.2  1749.6       2880
//	at most   1.2  3.6 10.8  32.4  97.2  291.6  874.8  2624.4       3600
//
// The number comes from a header that anybody with the permission can write, so
// any is taken: one below 1 counts as 1, and behind maxGrowth tries the wait grows
// no more.
func retryDelay(attempt int, p job.RetryPolicy) time.Duration {
	attempt = min(max(attempt, 1), maxGrowth)
	if n := len(p.Schedule); n > 0 {
		return p.Schedule[min(attempt, n)-1]
	}
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(p.First),
		backoff.WithMultiplier(p.Multiplier),
		backoff.WithRandomizationFactor(p.Jitter),
		backoff.WithMaxInterval(p.Max),
		backoff.WithMaxElapsedTime(0),
	)
	d := b.NextBackOff()
	for range attempt - 1 {
		d = b.NextBackOff()
	}
	return min(d, p.Max)
}

// maxGrowth is a number of tries after which every backoff has reached its maximum.
const maxGrowth = 10_000

// maxRetryAfter is the longest pause that a receiver can ask for.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads how long the receiver asks to be left alone, in seconds or until a
// date, at most [maxRetryAfter]; see RFC 9110, section 10.2.3. It counts with 429 and
// 503 only. Any other answer asks for nothing.
func retryAfter(status int, header string, now time.Time) time.Duration {
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return 0
	}
	var d time.Duration
	if date, err := http.ParseTime(header); err == nil {
		d = date.Sub(now)
	} else if header != "" && !strings.ContainsFunc(header, func(c rune) bool { return c < '0' || c > '9' }) {
		// Any number of digits is accepted: a value that is too long counts as the
		// maximum.
		seconds, err := strconv.ParseInt(header, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		d = time.Duration(seconds) * time.Second
	}
	return min(max(d, 0), maxRetryAfter)
}

// If a receiver asks jobs to come back at one moment, they come back after it, spread
// over a share of the time until then.
const (
	spreadShare = 10 // the share is one part in this many
	minSpread   = 100 * time.Millisecond
	maxSpread   = time.Minute
)

// spreadOver returns how much later than the receiver asked the next try is made.
// Without it a date would bring all jobs of the route in one millisecond. The try is
// never earlier.
func spreadOver(asked time.Duration) time.Duration {
	return rand.N(min(max(asked/spreadShare, minSpread), maxSpread))
}

// storeBackOff spaces out the calls to a store in trouble, from about 100 ms to 5 s
// apart, without end.
func storeBackOff() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(5*time.Second),
		backoff.WithMaxElapsedTime(0),
	)
}
