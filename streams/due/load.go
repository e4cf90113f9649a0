package due

import (
	"time"

	"belfry/internal/job"
)

// ToLoad returns the records to load now, and counts on each being answered
// with took, gone or failed.
func (a *Queue) ToLoad(now time.Time) []uint64 {
	soon := now.Add(loadAhead).UnixMilli()
	var seqs []uint64
	load := func(p job.Position, from *gate, held int64) {
		n := &nearRecord{at: p, stage: isLoading, from: from, held: held}
		if held > 0 {
			n.owner = RoomOwner(a.heavies.known[p.Seq].route.Value())
		}
		a.near[p.Seq] = n
		a.loading++
		seqs = append(seqs, p.Seq)
	}
	a.heavies.gated = false
	for g := range a.queues {
		for range g.mayCall(a.opening(g.route), now) {
			p, ok := g.waiting.Min()
			if !ok || !a.roomFor(p) {
				break
			}
			held, ok := a.hold(p)
			if !ok {
				a.heavies.gated = true
				break
			}
			g.waiting.Delete(p)
			delete(a.parked, p.Seq)
			a.makeRoom()
			g.called++
			load(p, g, held)
		}
		a.tidy(g)
	}
	for {
		p, ok := a.far.Min()
		if !ok || p.Due > soon || !a.roomFor(p) {
			break
		}
		a.far.Delete(p)
		if h, large := a.heavies.known[p.Seq]; large {
			a.heavies.setAside(p, h.route.Value())
			continue
		}
		a.makeRoom()
		load(p, nil, 0)
	}
	a.loadHeavies(func(p job.Position, held int64) { load(p, nil, held) })
	return seqs
}

// roomFor reports whether the record at p may be loaded now: if there is room,
// or if something is loaded that is due later.
func (a *Queue) roomFor(p job.Position) bool {
	if a.loading >= MaxLoading {
		return false
	}
	last, ok := a.ready.Max()
	return a.loaded < a.most || ok && p.Due < last.Due
}

// makeRoom puts the loaded record that is due last back into the far future,
// if too much is loaded.
func (a *Queue) makeRoom() {
	if last, ok := a.ready.Max(); ok && a.loaded >= a.most {
		a.dropNear(a.near[last.Seq])
		a.far.Set(last)
	}
}

// Loaded takes in a loaded record. Its own due time counts: one that is due much
// later goes back to the far future.
func (a *Queue) Loaded(r job.Record, now time.Time) {
	n, ok := a.near[r.Revision]
	if !ok || n.stage != isLoading {
		return // replaced meanwhile
	}
	a.loading--
	if c, ok := a.firing[r.Revision]; ok {
		r.Due = c.Due // as it was judged when it was observed
	}
	n.at.Due = r.Due
	n.again = a.tryNow(r.Revision)
	if r.Due > now.Add(2*loadAhead).UnixMilli() {
		delete(a.near, r.Revision)
		a.unhold(n)
		a.release(n)
		a.far.Set(n.at)
		return
	}
	n.stage, n.rec = isReady, r
	a.settle(n)
	if n.size = r.Size(); n.held > 0 {
		n.size -= len(r.Meta)
	}
	a.loaded += n.size
	a.ready.Set(n.at)
}

// PutBack puts all that is loaded, or being loaded, back into the far future.
func (a *Queue) PutBack() {
	for _, n := range a.near {
		if n.stage != isClaiming {
			a.dropNear(n)
			a.far.Set(n.at)
		}
	}
}

// RetryAt puts back a record that could not be loaded or claimed, to be tried
// again at the given time.
func (a *Queue) RetryAt(seq uint64, again time.Time) {
	n, ok := a.near[seq]
	if !ok {
		return
	}
	a.dropNear(n)
	a.postpone(n)
	a.far.Set(job.Position{Due: again.Add(loadAhead).UnixMilli(), Seq: seq})
}

// postpone notes when a record is due that is tried again later, unless it is
// firing already.
func (a *Queue) postpone(n *nearRecord) {
	at := n.at
	if was, ok := a.postponedAt[at.Seq]; ok { // at is when it was to be tried again
		at = was
	}
	if _, firing := a.firing[at.Seq]; !firing {
		a.postponed.Set(at)
		a.postponedAt[at.Seq] = at
	}
}

// tryNow forgets that a record was postponed, and reports whether it was.
func (a *Queue) tryNow(seq uint64) bool {
	at, ok := a.postponedAt[seq]
	if ok {
		delete(a.postponedAt, seq)
		a.postponed.Delete(at)
	}
	return ok
}

// ToFire returns at most max of the records that are due, in due order. Each
// stays until its claim is observed, or until gone or failed is called. The room
// that a large one holds is the caller's.
func (a *Queue) ToFire(now time.Time, max int) []job.Record {
	ms := now.UnixMilli()
	var due []job.Record
	for len(due) < max {
		p, ok := a.ready.Min()
		if !ok || p.Due > ms {
			break
		}
		a.ready.Delete(p)
		n := a.near[p.Seq]
		// A firing record that is claimed anew is already counted.
		if n.rec.Status != job.Firing && !a.admit(n, now) {
			continue
		}
		n.stage = isClaiming
		a.claims[n.rec.Key] = p.Seq
		if n.rec.Status != job.Firing {
			a.claiming[p.Seq] = ms
			if n.again {
				a.claiming[p.Seq] = 0
			}
		}
		due = append(due, n.rec)
		a.handOver(n)
	}
	return due
}

// NextLoad returns when ToLoad will have something; zero is not before
// something else happens.
func (a *Queue) NextLoad() time.Time {
	p, ok := a.far.Min()
	if !ok || !a.roomFor(p) {
		return time.Time{}
	}
	return time.UnixMilli(p.Due).Add(-loadAhead)
}

// NextFire is the same for ToFire.
func (a *Queue) NextFire() time.Time {
	p, ok := a.ready.Min()
	if !ok {
		return time.Time{}
	}
	return time.UnixMilli(p.Due)
}
