package job

import "time"

// BreakerPause is for how long no try is made when a breaker has tripped.
const BreakerPause = 10 * time.Second

// Breaker is how the circuit breaker of a REST route stands. The zero Breaker is
// closed: tries are made.
type Breaker struct {
	State BreakerState

	// Until is when an open breaker lets a try through to see whether the
	// endpoint is back, in unix milliseconds.
	Until int64
}

// BreakerState names the state of a breaker that is not closed.
type BreakerState string

// The states of a breaker that has tripped.
const (
	BreakerOpen     BreakerState = "open"      // no tries are made
	BreakerHalfOpen BreakerState = "half-open" // one at a time
)
