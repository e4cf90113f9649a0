package model

import "belfry/internal/job"

// takeOver is the one routine for every doubt: a start, a takeover, a missing answer to a
// publish, a reconnect. It reports whether the process owns the partition now.
//
// It drops all tasks in hand: the routine finds all of them in the streams, and acting on
// an old answer as well would fire twice.
func (o *owner) takeOver() bool {
	o.lapsed, o.owning, o.tasks = false, false, nil
	o.w.tally[takeovers]++
	o.purges = o.w.purges

	previous, owned := o.writeFence()
	if !owned {
		return false
	}
	o.firesSeen = max(o.firesSeen, o.fence)
	o.writeEpoch()
	if o.w.rules.skipsTail {
		o.boundary = o.pos
	}
	for o.pos < o.boundary {
		o.wait(o.behind)
		if !o.follow() {
			return false
		}
	}

	// Everything published before the fence can be read and no longer changes. Everything
	// published from now on is this owner's.
	firing := o.firing()
	from := o.fence
	for _, r := range firing {
		from = min(from, r.FiresAfter)
	}
	if o.w.rules.readsFromLastFence {
		from = previous
	}
	o.step()
	found := o.w.fires.claims(from, o.fence)
	for _, r := range firing {
		t := &task{rec: r, stage: publishing}
		switch {
		case !found[r.Revision]:
			o.w.tally[missingFires]++
			o.tasks = append(o.tasks, t)
			o.publish(t)
		case r.Route == natsRoute:
			o.w.tally[foundFires]++
			o.tasks = append(o.tasks, t)
			o.published(t)
		}
	}
	return true
}

// writeFence makes this process the owner, and returns the fence that was there before.
// After a missing answer the process is the owner if the newest fence is its own.
func (o *owner) writeFence() (previous uint64, owned bool) {
	o.step()
	w := o.w
	previous = w.fires.fence
	op := w.newID("fence")
	call := o.ask(func() (uint64, bool) {
		seq, ok := w.fires.writeFence(op, previous, w.clock)
		w.note("%s: fence over %d: sequence %d, applied %t", o.name, previous, seq, ok)
		return seq, ok
	})
	if call.answered {
		o.fence = call.seq
		return previous, call.ok
	}
	o.step()
	o.fence = w.fires.fence
	return previous, w.fires.fenceOp() == op
}

// writeEpoch writes the epoch record until an answer gives its revision.
func (o *owner) writeEpoch() {
	w, m := o.w, write{key: epochKey, epoch: o.fence}
	for {
		call := o.ask(func() (uint64, bool) {
			m.at = w.clock
			revision, ok := w.jobs.put(m, unconditional)
			w.note("%s: epoch record of fence %d: revision %d", o.name, m.epoch, revision)
			return revision, ok
		})
		if call.answered && call.ok {
			o.boundary = call.seq
			return
		}
	}
}

// firing returns the claims that are not finished, as far as o has followed the bucket.
func (o *owner) firing() []job.Record {
	var firing []job.Record
	for _, r := range o.seen {
		if r.Status == job.Firing {
			firing = append(firing, r)
		}
	}
	return firing
}

// follow reads one message of the tail, and reports whether the process may still take
// itself for the owner. It may not if the message is a newer owner's. The fence alone
// would stop it only when it has something to publish. Until then it would hold on to a
// partition whose newer owner may have died with a claim in hand.
func (o *owner) follow() bool {
	m, pos, _ := o.w.jobs.next(o.pos)
	o.pos = pos
	epoch := m.epoch
	if m.key != epochKey {
		o.learn(m.rec)
		epoch = m.rec.Epoch
	}
	if epoch > o.fence {
		return o.w.rules.heedsOnlyRefusal
	}
	// A claim of an older owner behind L was stored after this owner's fence. So the
	// older owner's publish is refused, and the fire cannot be in FIRES.
	late := m.rec.Status == job.Firing && epoch < o.fence && pos > o.boundary
	if o.owning && late && !o.w.rules.leavesLateClaims {
		o.w.tally[lateClaims]++
		t := &task{rec: m.rec}
		o.tasks = append(o.tasks, t)
		o.publish(t)
	}
	return true
}
