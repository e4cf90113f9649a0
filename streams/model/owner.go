package model

import (
	"time"

	"belfry/internal/job"
)

// modelPatience is how long a claim may stay unfinished, half of FIRES'
// MaxAge; modelMargin is longer than any worker that lives takes for a try.
const (
	modelPatience = 10_000
	modelMargin   = 2_000
)

// modelOwner is what a process that may own the partition knows; a crash loses
// all of it.
type modelOwner struct {
	*modelProcess

	pos  uint64                // how far it has followed the bucket
	seen [modelKeys]job.Record // the newest record of each key that it knows of

	fence     uint64     // its fence
	boundary  uint64     // its epoch record, L
	firesSeen uint64     // the highest sequence of FIRES it has seen
	gates     modelGates // as far as it knows
	tasks     []*modelTask
}

func modelOwnerMain(p *modelProcess) {
	o := &modelOwner{modelProcess: p, gates: p.w.gates}
	for {
		for !o.mayTry() { // a warm standby
			o.wait(func() bool { return o.behind() || o.mayTry() })
			if o.behind() {
				o.follow()
			}
		}
		o.owning = o.takeOver()
		for o.owning {
			o.work()
		}
		o.tasks, o.fence = nil, 0
	}
}

// mayTry is the lease. While there are faults it may lapse at any time, in
// anyone's eyes; in calm it lapses when nobody holds on to the partition.
func (o *modelOwner) mayTry() bool { return o.lapsed || o.w.calm && !o.w.owned() }

// behind reports whether the tail has more; the last message of a bucket is
// never overwritten.
func (o *modelOwner) behind() bool { return o.pos < o.w.jobs.last() }

// work does one thing of an owner's many.
func (o *modelOwner) work() {
	o.wait(func() bool {
		return o.lapsed || o.behind() || o.gates != o.w.gates || o.anyDone() != nil || o.anyDue() >= 0
	})
	due, done := o.anyDue(), o.anyDone()
	switch o.w.rng.IntN(3) { // none of the three comes before the others
	case 0:
		due = -1
	case 1:
		done = nil
	}
	switch {
	case o.lapsed: // a reconnect leaves in doubt too
		o.owning = o.takeOver()
	case o.gates != o.w.gates && o.w.rng.IntN(2) == 0:
		o.gates = o.w.gates
	case due >= 0:
		o.claim(o.seen[due])
	case done != nil:
		o.advance(done)
	case o.behind():
		o.owning = o.follow()
	}
}

// anyDue returns a key that is due, not in hand, and not behind a shut gate, or
// -1. A firing record is
// due too, once its claim counts as lost; but not before the tail has brought
// it, or it would be published as a late claim and claimed anew as well.
func (o *modelOwner) anyDue() int {
	start := o.w.steps
	for i := range modelKeys {
		key := (start + i) % modelKeys
		r := &o.seen[key]
		ahead := int64(0)
		if o.w.rules.claimsAhead {
			ahead = 2
		}
		ready := r.Status.Waiting() && !o.gates.shut(r.Route) || r.Status == job.Firing && r.Revision <= o.pos
		if ready && r.Due <= o.w.clock+ahead && !o.inHand(key) {
			return key
		}
	}
	return -1
}

func (o *modelOwner) inHand(key int) bool {
	for _, t := range o.tasks {
		if modelKeyOf(t.rec.Key) == key {
			return true
		}
	}
	return false
}

func (o *modelOwner) anyDone() *modelTask {
	for i := range o.tasks {
		if t := o.tasks[(i+o.w.steps)%len(o.tasks)]; t.call.settled() {
			return t
		}
	}
	return nil
}

func (o *modelOwner) now() time.Time { return time.UnixMilli(o.w.clock) }

// learn keeps a record that the owner wrote or read itself, ahead of the tail.
func (o *modelOwner) learn(r job.Record) {
	if k := modelKeyOf(r.Key); r.Revision > o.seen[k].Revision {
		o.seen[k] = r
	}
}
