package timer

import (
	"context"
	"time"

	"belfry/internal/job"
	"belfry/streams/due"
	"belfry/streams/journal"
)

// anyNumber is how far a gate is open that only limits the rate.
const anyNumber = due.Unlimited - 1

// opening says how far the gate of a route is open:
//
//	a value that is no route    shut
//	paused                      shut
//	a NATS route                no gate: its fires wait for nobody, or for its limit
//	its breaker is open         shut, until it is time for a probe
//	its breaker lets one probe  one fire, of each partition
//	a REST route                due.GateLimit fires, and no faster than its limit
func (t *Timer) opening(k job.RouteKey) due.GateState {
	r, known := t.routes.Peek(k)
	if !known && t.routes.IsBroken(k) {
		return due.GateState{Held: true}
	}
	if !known {
		return due.GateState{Out: due.Unlimited} // so that its jobs die, if it is deleted
	}
	now := t.now()
	switch until := time.UnixMilli(r.PausedUntil); {
	case r.Paused:
		return due.GateState{Held: true}
	case now.Before(until):
		return due.GateState{Held: true, Again: until}
	case r.Type == job.NATS && r.RateLimit.PerSecond == 0:
		return due.GateState{Out: due.Unlimited}
	case r.Type == job.NATS:
		return due.GateState{Out: anyNumber, PerSecond: r.RateLimit.PerSecond, Ahead: due.HonestPermits(r.RateLimit, t.partitions)}
	}
	open := due.GateState{Out: due.GateLimit, PerSecond: r.RateLimit.PerSecond}
	if open.PerSecond > 0 {
		open.Ahead = due.HonestPermits(r.RateLimit, t.partitions)
	}
	if until, tripped := t.breakers.Tripped(k); tripped {
		open.Out, open.Held = 1, true
		if now.Before(until) {
			open.Out, open.Again = 0, until
		}
	}
	return open
}

// askPermits requests the permits that the queue wants.
func (t *Timer) askPermits() {
	for _, ask := range t.queue.PermitsWanted(t.now()) {
		r, known := t.routes.Peek(ask.Route)
		t.start(func(ctx context.Context) {
			var permits []time.Time
			if known {
				var err error
				if permits, err = t.rates.Reserve(ctx, ask.Route, r.RateLimit, ask.N); err != nil {
					t.complain("no permits for a route with a rate limit yet", "db", r.DB, "route", r.ID, "error", err)
					journal.Sleep(ctx, journal.AnswerWait/10)
				}
			}
			t.post(ctx, func(context.Context) { t.queue.Grant(ask.Route, permits, t.now()) })
		})
	}
}
