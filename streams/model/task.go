package model

import (
	"time"

	"belfry/internal/job"
)

// task is a job in the owner's hands: a claim, a publish, or the finish of a NATS route,
// in progress. Tasks are pipelined.
type task struct {
	stage stage
	rec   job.Record // the claim; in the last stage the final record
	call  *call
}

type stage int

const (
	claiming stage = iota
	publishing
	finishing
)

// claim begins a try of r.
func (o *owner) claim(r job.Record) {
	rec := r.Claim(o.now(), o.fence, o.firesSeen, patience*time.Millisecond, "")
	rec.Op = o.w.newID("op")
	t := &task{rec: rec}
	o.tasks = append(o.tasks, t)
	t.call = o.send(o.putClaim(rec))
}

func (o *owner) putClaim(rec job.Record) func() (uint64, bool) {
	if o.w.rules.claimsBlindly {
		return o.put(rec, unconditional)
	}
	return o.put(rec, rec.Replaces.Seq)
}

// publish puts the fire of t's claim into FIRES, behind the owner's fence.
func (o *owner) publish(t *task) {
	r, w := t.rec, o.w
	f := r.Fire()
	expected := o.fence
	if w.rules.noFence {
		expected = unconditional
	}
	t.stage = publishing
	t.call = o.send(func() (uint64, bool) {
		seq, ok := w.fires.publish(f, expected, w.clock)
		if ok && f.Route == restRoute {
			w.handouts = append(w.handouts, &handout{fire: w.fires.log[seq-1].fire})
		}
		w.note("%s: publish %s attempt %d fire %s claim %d behind fence %d: sequence %d, applied %t",
			o.name, f.Key.ID, f.Attempt, f.FireID, f.Claim, expected, seq, ok)
		return seq, ok
	})
}

// advance moves a task on after the answer to its call.
func (o *owner) advance(t *task) {
	answer := t.call
	switch {
	case t.stage == publishing && answer.missing && o.w.rules.publishesAgain:
		o.publish(t)
	case t.stage == publishing && answer.missing: // in doubt
		o.owning = o.takeOver()
	case t.stage == publishing && !answer.ok && o.stands():
		if o.w.rules.believesRefusals {
			o.publish(t)
			return
		}
		o.owning = o.takeOver() // an old leader may say so: in doubt
	case t.stage == publishing && !answer.ok: // deposed
		o.w.note("%s: refused by the fence", o.name)
		o.w.tally[refusals]++
		o.owning = false
	case t.stage == publishing:
		o.firesSeen = max(o.firesSeen, answer.seq)
		o.published(t)
	case answer.ok && answer.answered:
		t.rec.Revision = answer.seq
		o.written(t)
	case t.stage == claiming && answer.missing && o.w.rules.believesMissing:
		o.drop(t)
	default:
		o.settle(t)
	}
}

// stands reports whether the newest fence is the owner's.
func (o *owner) stands() bool {
	o.step()
	return o.w.fires.fence == o.fence
}

// settle asks the leader for the outcome of a claim or a finish.
func (o *owner) settle(t *task) {
	r := o.read(keyOf(t.rec.Key))
	switch {
	case r.Op == t.rec.Op:
		t.rec = r
		o.written(t)
	case r.Revision == t.rec.Replaces.Seq:
		t.call = o.send(o.put(t.rec, r.Revision))
	default: // lost; the writer of r handles it
		o.learn(r)
		o.drop(t)
	}
}

// written continues after a claim or a finish that is known to be stored.
func (o *owner) written(t *task) {
	o.learn(t.rec)
	if t.stage == claiming {
		o.publish(t)
	} else {
		o.drop(t)
	}
}

// published continues after a fire that is known to be in FIRES: the workers finish a
// REST job, the owner a NATS job.
func (o *owner) published(t *task) {
	if t.rec.Route == restRoute {
		o.drop(t)
		return
	}
	t.stage = finishing
	t.rec = t.rec.Finish(job.Result{Status: job.Published}, o.now())
	t.rec.Op = o.w.newID("op")
	t.call = o.send(o.put(t.rec, t.rec.Replaces.Seq))
}

func (o *owner) drop(t *task) {
	for i := range o.tasks {
		if o.tasks[i] == t {
			o.tasks = append(o.tasks[:i], o.tasks[i+1:]...)
			return
		}
	}
}
