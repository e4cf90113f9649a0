package timer

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"belfry/internal/job"
	"belfry/streams/journal"
)

// claimPatience is how long a claim is retried before its outcome counts as unknown.
const claimPatience = 10 * time.Second

// fire takes a due record through its steps: claim, publish and, for a NATS route,
// finish. The next owner recovers what a crash between two steps leaves behind; see the
// crash table in docs/design.md.
func (t *Timer) fire(r job.Record, ten tenure) {
	t.firing.Add(1) // until fireEnded, or firePassedOn
	t.begin(t.claim(r, ten))
}

// fireEnded tells the loop that a fire, or the end of one, is finished. It gives back the
// record's room; r must have the meta that was loaded.
func (t *Timer) fireEnded(r job.Record) {
	t.inFlight.Give(r)
	t.firePassedOn()
}

// firePassedOn is fireEnded for a record that is still under way.
func (t *Timer) firePassedOn() {
	t.firing.Add(-1)
	t.Wake()
}

// Wake makes the timer look at what there is to do.
func (t *Timer) Wake() {
	select {
	case t.ended <- struct{}{}:
	default: // an earlier wake is still pending
	}
}

// claim is the step that makes a due record ours to publish.
func (t *Timer) claim(r job.Record, ten tenure) step {
	p := t.jobs.NewWrite(r.Claim(t.now(), ten.fence, t.firesSeen.Load(), t.staleAfter, rand.Text()), r.Revision)
	made := func(revision uint64) {
		claim := p.Record
		claim.Revision = revision
		t.meter.claimed(claim, t.now())
		t.publishClaim(claim, ten)
	}
	return step{p.Msg, made, func(ctx context.Context, revision uint64, err error) {
		ended := true
		defer func() {
			if ended {
				t.fireEnded(r)
			}
		}()
		try, cancel := context.WithTimeout(ctx, claimPatience)
		defer cancel()
		revision, err = p.Conclude(try, revision, err)
		if err == nil {
			made(revision)
			ended = false
			return
		}
		if errors.Is(err, job.ErrMoved) {
			t.meter.ClaimLost()
			t.unclaimed(ctx, r.Revision, true)
			return
		}
		t.complain("couldn't claim a due job", "db", r.DB, "collection", r.Collection, "job", r.ID, "error", err)
		t.unclaimed(ctx, r.Revision, false)
		if errors.Is(err, job.ErrUnknownOutcome) {
			t.inDoubt(ctx, "a claim was not answered", ten)
		}
	}}
}

// unclaimed tells the loop about a record that could not be claimed or expired. If it has
// moved, it has another revision; otherwise it is tried again. The tail brings a claim
// that was made.
func (t *Timer) unclaimed(ctx context.Context, seq uint64, moved bool) {
	t.post(ctx, func(context.Context) {
		if moved {
			t.queue.Remove(seq)
		} else {
			t.queue.RetryAt(seq, t.now().Add(time.Second))
		}
	})
}

// buryUnrouted ends a claimed job as dead because its route was deleted. No fire will
// bring a worker back to it, so the dead letter is written first: while the letter may be
// missing, the claim stands, and the next owner finds it.
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
	t.finishNow(ctx, claim, job.Result{Status: job.Dead, Reason: job.ReasonNoRoute, Detail: detail})
}
