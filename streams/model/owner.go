package model

import (
	"time"

	"belfry/internal/job"
)

// patience is how long a claim may stay unfinished, half of FIRES' MaxAge. margin is
// longer than any live worker takes for a try.
const (
	patience = 10_000
	margin   = 2_000
)

// owner is what a process that may own the partition knows; a crash loses all of it.
type owner struct {
	*process

	pos  uint64              // how far it has followed the bucket
	seen [maxKeys]job.Record // the newest record of each key that it knows

	fence     uint64 // its fence
	boundary  uint64 // its epoch record, L
	firesSeen uint64 // the highest sequence of FIRES it has seen
	gates     gates  // as far as it knows them
	tasks     []*task
	purges    int // how many it has looked into
}

func ownerMain(p *process) {
	o := &owner{process: p, gates: p.w.gates}
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

// mayTry is the lease. While there are faults it may lapse at any time, in anyone's eyes.
// In calm it lapses when nobody owns the partition.
func (o *owner) mayTry() bool { return o.lapsed || o.w.calm && !o.w.owned() }

// behind reports whether the tail has more to read. The last message of a bucket is never
// overwritten.
func (o *owner) behind() bool { return o.pos < o.w.jobs.last() }

// purged reports whether the owner now finds that fires are gone. It compares FIRES with
// what it knows, so it finds out sooner or later.
func (o *owner) purged() bool { return o.purges != o.w.purges && !o.w.rules.ignoresPurges }

// work does one of the owner's many tasks.
func (o *owner) work() {
	o.wait(func() bool {
		return o.lapsed || o.purged() || o.behind() || o.gates != o.w.gates || o.anyDone() != nil || o.anyDue() >= 0
	})
	due, done := o.anyDue(), o.anyDone()
	switch o.w.rng.IntN(3) { // none of the three comes before the others
	case 0:
		due = -1
	case 1:
		done = nil
	}
	switch {
	case o.lapsed, o.purged() && o.w.rng.IntN(2) == 0: // a reconnect leaves doubt, too
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

// anyDue returns a key that is due, not in hand, and not behind a shut gate, or -1. A
// firing record is due, too, once its claim counts as lost, but not before the tail has
// brought it. Otherwise it would be published as a late claim and also claimed anew.
func (o *owner) anyDue() int {
	start := o.w.steps
	for i := range maxKeys {
		key := (start + i) % maxKeys
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

func (o *owner) inHand(key int) bool {
	for _, t := range o.tasks {
		if keyOf(t.rec.Key) == key {
			return true
		}
	}
	return false
}

func (o *owner) anyDone() *task {
	for i := range o.tasks {
		if t := o.tasks[(i+o.w.steps)%len(o.tasks)]; t.call.settled() {
			return t
		}
	}
	return nil
}

func (o *owner) now() time.Time { return time.UnixMilli(o.w.clock) }

// learn keeps a record that the owner wrote or read itself, ahead of the tail.
func (o *owner) learn(r job.Record) {
	if k := keyOf(r.Key); r.Revision > o.seen[k].Revision {
		o.seen[k] = r
	}
}
