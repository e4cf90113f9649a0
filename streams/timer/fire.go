package timer

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// claimPatience is how long a claim is tried before its outcome counts as
// unknown.
const claimPatience = 10 * time.Second

// fire takes a due record through claim, publish and, for a NATS route,
// finish. What a crash between two of these leaves behind is recovered by the
// next owner; see the crash table in docs/design.md.
//
// While all goes well each answer begins the next step, where the answers are
// read. Whatever else the answer is, a goroutine of its own deals with it.
func (t *Timer) fire(r job.Record, ten tenure) {
	t.firing.Add(1) // until fireEnded
	claim := r.Claim(t.now(), ten.fence, t.firesSeen.Load(), t.staleAfter, rand.Text())
	p := t.jobs.NewWrite(claim, r.Revision)
	t.w.TrySend(p.Msg, func(revision uint64, err error) {
		switch {
		case t.work.Err() != nil: // stopped
		case err == nil:
			claim.Revision = revision
			t.meter.claimed(claim, t.now())
			t.claimed(claim, ten)
		default:
			t.carryOn(claim, func(ctx context.Context) { t.concludeClaim(ctx, p, ten, revision, err) })
		}
	})
}

// carryOn goes on with the fire of a record in a goroutine of its own, to its end.
func (t *Timer) carryOn(r job.Record, do func(context.Context)) {
	t.start(func(ctx context.Context) {
		defer t.fireEnded(r)
		do(ctx)
	})
}

// fireEnded tells the loop that a fire, or the end of one, is through. It gives back
// the room of the record, whose meta is the one that was loaded.
func (t *Timer) fireEnded(r job.Record) {
	t.inFlight.Give(r)
	t.firePassedOn()
}

// firePassedOn is fireEnded for a record that is under way still.
func (t *Timer) firePassedOn() {
	t.firing.Add(-1)
	t.Wake()
}

// Wake has the timer look at what there is to do.
func (t *Timer) Wake() {
	select {
	case t.ended <- struct{}{}:
	default: // it has yet to look for the last one's sake
	}
}

// concludeClaim goes on with a claim that was not simply made.
func (t *Timer) concludeClaim(ctx context.Context, p *journal.RecordWrite, ten tenure, revision uint64, err error) {
	tryCtx, cancel := context.WithTimeout(ctx, claimPatience)
	defer cancel()
	claim := p.Record
	revision, err = p.Conclude(tryCtx, revision, err)
	switch {
	case err == nil:
		claim.Revision = revision
		t.meter.claimed(claim, t.now())
		t.publish(ctx, claim, ten)
	case errors.Is(err, job.ErrMoved):
		t.meter.ClaimLost()
		t.unclaimed(ctx, p.Expect, true)
	default:
		t.complain("couldn't claim a due job", "db", claim.DB, "collection", claim.Collection, "job", claim.ID, "error", err)
		t.unclaimed(ctx, p.Expect, false)
		if errors.Is(err, job.ErrUnknownOutcome) {
			t.inDoubt(ctx, "a claim was not answered", ten)
		}
	}
}

// unclaimed tells the loop of a record that was not claimed: it has another revision
// if it has moved, else the claim is to be tried again. A claim that was made the tail
// brings.
func (t *Timer) unclaimed(ctx context.Context, seq uint64, moved bool) {
	t.post(ctx, func(context.Context) {
		if moved {
			t.queue.Remove(seq)
		} else {
			t.queue.RetryAt(seq, t.now().Add(time.Second))
		}
	})
}

// claimed publishes the fire of a claim that was made.
func (t *Timer) claimed(claim job.Record, ten tenure) {
	route, known := t.routes.Peek(claim.RouteKey())
	if !known {
		t.carryOn(claim, func(ctx context.Context) { t.publish(ctx, claim, ten) })
		return
	}
	began := t.now()
	t.inboxes.Stirred(claim.RouteKey())
	t.w.TrySend(t.fireMessage(claim, ten), func(seq uint64, err error) {
		switch {
		case t.work.Err() != nil: // stopped
		case err == nil:
			t.saw(seq)
			t.meter.Published(route.Type, t.now().Sub(began))
			if route.Type == job.NATS {
				t.finishSoon(claim)
				t.firePassedOn()
				return
			}
			t.fireSeqs.note(claim.Revision, seq)
			t.fireEnded(claim)
		default:
			t.carryOn(claim, func(ctx context.Context) {
				if !t.published(ctx, claim, ten, route, err) {
					t.publish(ctx, claim, ten)
				}
			})
		}
	})
}

// publish asks for the try of a claimed record, once per claim, and waits until
// that is through. A job whose route is gone dies instead.
func (t *Timer) publish(ctx context.Context, claim job.Record, ten tenure) {
	pause, began := journal.NewBackOff(50*time.Millisecond, 5*time.Second), t.now()
	for {
		route, err := t.routes.Get(ctx, claim.RouteKey())
		if errors.Is(err, job.ErrRouteNotFound) {
			t.buryUnrouted(ctx, claim)
			return
		}
		if err == nil {
			t.inboxes.Stirred(claim.RouteKey())
			var seq uint64
			if seq, err = t.w.Send(ctx, t.fireMessage(claim, ten)); err == nil {
				t.saw(seq)
				t.meter.Published(route.Type, t.now().Sub(began))
				if route.Type == job.REST {
					t.fireSeqs.note(claim.Revision, seq)
				}
			}
			if t.published(ctx, claim, ten, route, err) {
				return
			}
		}
		// Nothing was published; the claim is ours, so try again.
		t.complain("couldn't publish a fire yet", "db", claim.DB, "collection", claim.Collection, "job", claim.ID, "error", err)
		if !journal.Sleep(ctx, pause.NextBackOff()) {
			return
		}
	}
}

// published deals with the answer to a fire, and reports whether the fire needs
// nothing more from here.
func (t *Timer) published(ctx context.Context, claim job.Record, ten tenure, route job.Route, err error) bool {
	switch {
	case err == nil:
		if route.Type == job.NATS {
			t.finish(ctx, claim, job.Result{Status: job.Published})
		}
		return true
	case errors.Is(err, journal.ErrConflict), t.w.Replicated && journal.MayBeStored(err):
		return t.refused(ctx, ten)
	case errors.Is(err, journal.ErrNoAnswer):
		t.inDoubt(ctx, "a fire was not answered", ten)
		return true
	}
	return false
}

// fireMessage makes the fire of a claim, for the server to take while the fence
// stands.
func (t *Timer) fireMessage(claim job.Record, ten tenure) *nats.Msg {
	m := t.w.Names.EncodeFire(claim, t.now())
	m.Header[wire.HeaderExpectSubjectSeq] = []string{wire.FormatUint(ten.fence)}
	m.Header[wire.HeaderExpectSubject] = []string{t.w.Names.FenceSubject(t.partition)}
	return m
}

// saw notes the highest sequence seen in FIRES.
func (t *Timer) saw(seq uint64) {
	for {
		old := t.firesSeen.Load()
		if seq <= old || t.firesSeen.CompareAndSwap(old, seq) {
			return
		}
	}
}

// buryUnrouted lets a claimed job die whose route was deleted. There is no
// fire that would bring a worker back to it, so the dead letter comes first:
// while it may be missing, the claim stands, and the next owner meets it.
func (t *Timer) buryUnrouted(ctx context.Context, claim job.Record) {
	f := claim.Fire()
	const detail = "there was no such route when the job came due"
	pause := journal.NewBackOff(50*time.Millisecond, 5*time.Second)
	for {
		err := t.dead.Bury(ctx, f, job.ReasonNoRoute, detail)
		if err == nil {
			break
		}
		t.complain("couldn't write a dead letter yet", "db", f.DB, "collection", f.Collection, "job", f.Key.ID, "error", err)
		if !journal.Sleep(ctx, pause.NextBackOff()) {
			return
		}
	}
	t.finish(ctx, claim, job.Result{Status: job.Dead, Reason: job.ReasonNoRoute, Detail: detail})
}

// finish writes the end of a claim, until it is written or somebody else has.
func (t *Timer) finish(ctx context.Context, claim job.Record, res job.Result) {
	pause := journal.NewBackOff(50*time.Millisecond, 5*time.Second)
	for {
		_, err := t.jobs.Write(ctx, claim.Finish(res, t.now()), claim.Revision)
		if err == nil || errors.Is(err, job.ErrMoved) {
			return
		}
		t.complain("couldn't finish a fire yet", "db", claim.DB, "collection", claim.Collection, "job", claim.ID, "error", err)
		if !journal.Sleep(ctx, pause.NextBackOff()) {
			return
		}
	}
}
