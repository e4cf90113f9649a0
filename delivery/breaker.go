package delivery

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"belfry/internal/job"
	"belfry/internal/loglimit"
)

// A breaker trips after this many failures in a row, or when nearly all of many recent
// tries failed. No try is made for the pause that follows.
const (
	tripAfter  = 20
	tripOf     = 100
	tripShare  = 0.9
	tripWindow = 10 * time.Second
	tripPause  = job.BreakerPause
)

// Breakers knows which endpoints are down, on all nodes. Its methods are called
// concurrently.
type Breakers interface {
	// Tripped reports whether the route's breaker has tripped. No try may be made
	// before the returned time; after it, one at a time comes.
	Tripped(job.RouteKey) (until time.Time, tripped bool)

	// Trip stops the route's fires until the given time, and Reset lets them go on.
	// Both take effect here at once, and on the other nodes when they return nil.
	Trip(context.Context, job.RouteKey, time.Time) error
	Reset(context.Context, job.RouteKey) error
}

// breaker judges from this node's tries whether the endpoint of a route is down. It is
// safe for concurrent use.
type breaker struct {
	route job.RouteKey

	mu       sync.Mutex // guards what follows
	inARow   int        // consecutive failures, however old
	ofLately *gobreaker.CircuitBreaker[struct{}]
}

func newBreaker(route job.RouteKey) *breaker {
	return &breaker{route: route, ofLately: newShare()}
}

// newShare counts the tries of a window. It forgets all of them when the window is
// over, and the failures in a row too. Those are therefore counted apart: an endpoint
// that lets each try time out may have tries further apart than the window.
func newShare() *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Interval: tripWindow,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.Requests >= tripOf && float64(c.TotalFailures) >= tripShare*float64(c.Requests)
		},
	})
}

var errDown = errors.New("the endpoint is down")

// note counts a try and reports whether the breaker must trip on it. If so, counting
// starts again, since all nodes decide whether it stays tripped.
func (b *breaker) note(alive bool) (trip bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inARow++
	if alive {
		b.inARow = 0
	}
	_, _ = b.ofLately.Execute(func() (struct{}, error) { // returns what it is given
		if !alive {
			return struct{}{}, errDown
		}
		return struct{}{}, nil
	})
	if b.inARow < tripAfter && b.ofLately.State() == gobreaker.StateClosed {
		return false
	}
	b.inARow, b.ofLately = 0, newShare()
	return true
}

// mayTry reports whether the breaker lets a try through. After the pause the timer
// lets out one fire at a time, so fires that have waited here since before go back.
func (w *worker) mayTry(b *breaker, now time.Time, p *putOffs) bool {
	until, tripped := w.Breakers.Tripped(b.route)
	return !tripped || !p.waited() && !now.Before(until)
}

// tried tells the breaker how a try went that began and ended at these times. A try
// that began after the pause starts the next pause if it fails, and ends the breaker's
// trip if it is answered. Tries that were under way when it tripped do neither: with
// many of them, one is soon answered even by an endpoint that fails nearly all.
func (w *worker) tried(b *breaker, alive bool, began, ended time.Time) {
	trip := b.note(alive)
	until, tripped := w.Breakers.Tripped(b.route)
	switch {
	case tripped && began.Before(until):
		return
	case tripped:
		trip = !alive
	case !trip:
		return
	}
	ctx, cancel := context.WithTimeout(w.writes, writeTime)
	defer cancel()
	err := error(nil)
	if trip {
		// Other nodes and fires carry this time in milliseconds.
		err = w.Breakers.Trip(ctx, b.route, time.UnixMilli(ended.Add(tripPause).UnixMilli()))
		w.Log.Warn("the endpoint of a route is down", "db", b.route.DB, "route", b.route.ID, "next_try", tripPause)
	} else {
		err = w.Breakers.Reset(ctx, b.route)
		w.Log.Info("the endpoint of a route is back", "db", b.route.DB, "route", b.route.ID)
	}
	if err != nil {
		loglimit.Warn(w.Log, "the other nodes don't know how the breaker of a route stands", "db", b.route.DB, "route", b.route.ID, "error", err)
	}
}
