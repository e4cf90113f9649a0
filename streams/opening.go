package streams

import (
	"context"
	"time"

	"belfry/internal/job"
	"belfry/streams/journal"
)

// anyNumber is how far a gate is open that is there for the rate alone.
const anyNumber = unlimited - 1

// opening says how far the gate of a route is open:
//
//	something that is no route  shut
//	paused                      shut
//	a NATS route                no gate: its fires wait for nobody, or for its limit
//	its breaker is open         shut, until it is time for a probe
//	its breaker lets one probe  one fire, of each partition
//	a REST route                gateLimit fires, and no faster than its limit
func (t *timer) opening(k job.RouteKey) opening {
	r, known := t.routes.peek(k)
	if !known && t.routes.isBroken(k) {
		return opening{held: true}
	}
	if !known {
		return opening{out: unlimited} // to die, if it is deleted
	}
	now := t.now()
	switch until := time.UnixMilli(r.PausedUntil); {
	case r.Paused:
		return opening{held: true}
	case now.Before(until):
		return opening{held: true, again: until}
	case r.Type == job.NATS && r.RateLimit.PerSecond == 0:
		return opening{out: unlimited}
	case r.Type == job.NATS:
		return opening{out: anyNumber, perSecond: r.RateLimit.PerSecond, ahead: honestPermits(r.RateLimit, t.jobs.partitions)}
	}
	open := opening{out: gateLimit, perSecond: r.RateLimit.PerSecond}
	if open.perSecond > 0 {
		open.ahead = honestPermits(r.RateLimit, t.jobs.partitions)
	}
	if until, tripped := t.breakers.Tripped(k); tripped {
		open.out, open.held = 1, true
		if now.Before(until) {
			open.out, open.again = 0, until
		}
	}
	return open
}

// askPermits asks for the permits that the agenda wants.
func (t *timer) askPermits() {
	for _, ask := range t.agenda.toPermit(t.now()) {
		r, known := t.routes.peek(ask.route)
		t.start(func(ctx context.Context) {
			answer := permitted{route: ask.route}
			if known {
				var err error
				if answer.permits, err = t.rates.reserve(ctx, ask.route, r.RateLimit, ask.n); err != nil {
					t.complain("no permits for a route with a rate limit yet", "db", r.DB, "route", r.ID, "error", err)
					journal.Sleep(ctx, journal.AnswerWait/10)
				}
			}
			select {
			case t.permits <- answer:
			case <-ctx.Done():
			}
		})
	}
}
