package timer

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// publishClaim publishes the fire of a claimed record, once per claim.
func (t *Timer) publishClaim(claim job.Record, ten tenure) {
	if route, known := t.routes.Peek(claim.RouteKey()); known {
		t.inboxes.Stirred(claim.RouteKey())
		t.begin(t.publish(claim, ten, route))
		return
	}
	t.start(func(ctx context.Context) {
		defer t.fireEnded(claim)
		t.publishNow(ctx, claim, ten)
	})
}

// publish is the step that puts the fire of a claim into FIRES.
func (t *Timer) publish(claim job.Record, ten tenure, route job.Route) step {
	began := t.now()
	made := func(seq uint64) {
		t.published(claim, route, seq, began)
		if route.Type != job.NATS {
			t.fireEnded(claim)
			return
		}
		t.finishSoon(claim)
		t.firePassedOn()
	}
	return step{t.fireMessage(claim, ten), made, func(ctx context.Context, _ uint64, err error) {
		defer t.fireEnded(claim)
		if !t.isOver(ctx, ten, err) {
			t.publishNow(ctx, claim, ten)
		}
	}}
}

// publishNow publishes the fire of a claim and, for a NATS route, finishes it. It repeats
// until both are done or ctx ends. A job whose route is gone dies instead.
func (t *Timer) publishNow(ctx context.Context, claim job.Record, ten tenure) {
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
				t.published(claim, route, seq, began)
				if route.Type == job.NATS {
					t.finishNow(ctx, claim, job.Result{Status: job.Published})
				}
				return
			}
			if t.isOver(ctx, ten, err) {
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

// published records that the fire of a claim is in FIRES.
func (t *Timer) published(claim job.Record, route job.Route, seq uint64, began time.Time) {
	t.saw(seq)
	t.meter.Published(route.Type, t.now().Sub(began))
	if route.Type == job.REST {
		t.fireSeqs.note(claim.Revision, seq)
	}
}

// isOver reports whether a failed fire must not be sent again from here: it may be in
// FIRES, or another fence is the last one. Then the routine for doubt, or another owner,
// looks into its claim.
func (t *Timer) isOver(ctx context.Context, ten tenure, err error) bool {
	switch {
	case errors.Is(err, journal.ErrConflict), t.w.Replicated && journal.MayBeStored(err):
		return t.refused(ctx, ten)
	case errors.Is(err, journal.ErrNoAnswer):
		t.inDoubt(ctx, "a fire was not answered", ten)
		return true
	}
	return false
}

// fireMessage returns the fire of a claim. The server stores it only while our fence is
// the last one.
func (t *Timer) fireMessage(claim job.Record, ten tenure) *nats.Msg {
	m := t.w.Names.EncodeFire(claim, t.now())
	m.Header[wire.HeaderExpectSubjectSeq] = []string{wire.FormatUint(ten.fence)}
	m.Header[wire.HeaderExpectSubject] = []string{t.w.Names.FenceSubject(t.partition)}
	return m
}

// saw raises the highest sequence seen in FIRES.
func (t *Timer) saw(seq uint64) {
	for {
		old := t.firesSeen.Load()
		if seq <= old || t.firesSeen.CompareAndSwap(old, seq) {
			return
		}
	}
}
