package model

import (
	"cmp"
	"time"

	"belfry/internal/job"
)

// gates says which routes' gates are shut: by a pause, or by a breaker, which is the same
// to the protocol. A breaker that lets one probe through, or a rate limit, only takes
// some of the turns that an open gate leaves to chance.
type gates struct{ rest, nats bool }

func (g gates) shut(route string) bool {
	if route == natsRoute {
		return g.nats
	}
	return g.rest
}

// turnGate shuts a gate or opens it again.
func (w *world) turnGate() {
	w.gatesBefore = w.gates
	if w.rng.IntN(3) == 0 {
		w.gates.nats = !w.gates.nats
	} else {
		w.gates.rest = !w.gates.rest
	}
	w.tally[turnedGates]++
	w.note("gates shut: %+v", w.gates)
}

// looksShut is what a worker knows about the gate; it may be a turn behind.
func (w *world) looksShut(route string) bool {
	if !w.calm && w.rng.IntN(4) == 0 {
		return w.gatesBefore.shut(route)
	}
	return w.gates.shut(route)
}

// putBack returns the record that puts a claim back untried.
func putBack(p *process, f job.Fire, r job.Record) job.Record {
	p.step()
	res := job.Result{Status: job.Scheduled, RetryAt: cmp.Or(r.Replaces.Due, f.Trigger), Reason: r.Reason}
	next := r.Finish(res, time.UnixMilli(p.w.clock))
	if p.w.rules.putsBackCounted {
		next.Attempt = r.Attempt
	}
	next.Op = p.w.newID("op")
	return next
}

// isPutBack reports whether r, written over old, puts it back.
func isPutBack(old, r job.Record) bool {
	return old.Status == job.Firing && (r.Status == job.Scheduled || r.Status == job.Retrying && r.Attempt < old.Attempt)
}
