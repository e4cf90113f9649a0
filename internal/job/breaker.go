package job

import "time"

// BreakerPause is how long no try is made after a breaker has tripped.
const BreakerPause = 10 * time.Second

// Breaker is the state of a REST route's circuit breaker. The zero Breaker is closed:
// tries are made.
type Breaker struct {
	State BreakerState

	// Until is when an open breaker lets one try through to see whether the endpoint
	// is back, in unix milliseconds.
	Until int64
}

// BreakerState names the state of a breaker that is not closed.
type BreakerState string

// The states of a breaker that has tripped.
const (
	BreakerOpen     BreakerState = "open"      // no tries are made
	BreakerHalfOpen BreakerState = "half-open" // one try at a time
)
