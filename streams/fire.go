package streams

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"belfry/internal/job"
)

// claimPatience is how long a claim is tried before its outcome counts as
// unknown.
const claimPatience = 10 * time.Second

// fire takes a due record through claim, publish and, for a NATS route,
// finish. What a crash between two of these leaves behind is recovered by the
// next owner; see the crash table in docs/design.md.
func (t *timer) fire(ctx context.Context, r job.Record, ten tenure) {
	seq := r.Revision
	claim := r.Claim(t.now(), ten.fence, t.firesSeen.Load(), t.cfg.FiresMaxAge/2, rand.Text())
	tryCtx, cancel := context.WithTimeout(ctx, claimPatience)
	defer cancel()
	revision, err := t.jobs.write(tryCtx, claim, seq)
	switch {
	case err == nil:
		claim.Revision = revision
		t.publish(ctx, claim, ten)
	case errors.Is(err, job.ErrMoved):
		t.report(ctx, claimResult{seq: seq, moved: true})
	default:
		t.log.Warn("couldn't claim a due job", "db", r.DB, "collection", r.Collection, "job", r.ID, "error", err)
		t.report(ctx, claimResult{seq: seq})
		if errors.Is(err, job.ErrUnknownOutcome) {
			t.inDoubt("a claim was not answered")
		}
	}
}

// publish asks for the try of a claimed record, once per claim. A job whose
// route is gone dies instead.
func (t *timer) publish(ctx context.Context, claim job.Record, ten tenure) {
	pause := newBackOff(50*time.Millisecond, 5*time.Second)
	for {
		route, err := t.routes.Get(ctx, claim.RouteKey())
		switch {
		case errors.Is(err, job.ErrRouteNotFound):
			t.buryUnrouted(ctx, claim)
			return
		case err == nil:
			err = t.publishOnce(ctx, claim, ten)
			switch {
			case err == nil:
				if route.Type == job.NATS {
					t.finish(ctx, claim, job.Result{Status: job.Published})
				}
				return
			case errors.Is(err, errConflict) && t.refused(ctx, ten):
				return
			case errors.Is(err, errNoAnswer):
				t.inDoubt("a fire was not answered")
				return
			}
		}
		// Nothing was published; the claim is ours, so try again.
		t.log.Warn("couldn't publish a fire yet", "db", claim.DB, "collection", claim.Collection, "job", claim.ID, "error", err)
		if !sleep(ctx, pause.NextBackOff()) {
			return
		}
	}
}

func (t *timer) publishOnce(ctx context.Context, claim job.Record, ten tenure) error {
	m := encodeFire(claim, t.now())
	m.Header[hdrExpectSubjectSeq] = []string{formatUint(ten.fence)}
	m.Header[hdrExpectSubject] = []string{fenceSubject(t.partition)}
	seq, err := t.w.send(ctx, m)
	if err == nil {
		t.saw(seq)
	}
	return err
}

// saw notes the highest sequence seen in FIRES.
func (t *timer) saw(seq uint64) {
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
func (t *timer) buryUnrouted(ctx context.Context, claim job.Record) {
	f := job.Fire{
		Key: claim.Key, Route: claim.Route, Trigger: claim.Trigger, ID: claim.FireID,
		Attempt: claim.Attempt, Meta: claim.Meta, Claim: claim.Revision,
	}
	const detail = "there was no such route when the job came due"
	pause := newBackOff(50*time.Millisecond, 5*time.Second)
	for {
		err := t.dead.bury(ctx, f, job.ReasonNoRoute, detail)
		if err == nil {
			break
		}
		t.log.Warn("couldn't write a dead letter yet", "db", f.DB, "collection", f.Collection, "job", f.Key.ID, "error", err)
		if !sleep(ctx, pause.NextBackOff()) {
			return
		}
	}
	t.finish(ctx, claim, job.Result{Status: job.Dead, Reason: job.ReasonNoRoute, Detail: detail})
}

// finish writes the end of a claim, until it is written or somebody else has.
func (t *timer) finish(ctx context.Context, claim job.Record, res job.Result) {
	pause := newBackOff(50*time.Millisecond, 5*time.Second)
	for {
		_, err := t.jobs.write(ctx, claim.Finish(res, t.now()), claim.Revision)
		if err == nil || errors.Is(err, job.ErrMoved) {
			return
		}
		t.log.Warn("couldn't finish a fire yet", "db", claim.DB, "collection", claim.Collection, "job", claim.ID, "error", err)
		if !sleep(ctx, pause.NextBackOff()) {
			return
		}
	}
}
