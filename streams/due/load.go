package due

import (
	"time"

	"belfry/internal/job"
)

// ToLoad returns the records to load now. The caller answers each with [Queue.SetLoaded],
// [Queue.Remove] or [Queue.RetryAt].
func (q *Queue) ToLoad(now time.Time) []uint64 {
	soon := now.Add(loadAhead).UnixMilli()
	var seqs []uint64
	load := func(p job.Position, from *gate, held int64) {
		n := &nearRecord{at: p, stage: isLoading, from: from, held: held}
		if held > 0 {
			n.owner = RoomOwner(q.heavies.known[p.Seq].route.Value())
		}
		q.near[p.Seq] = n
		q.loading++
		seqs = append(seqs, p.Seq)
	}
	q.heavies.gated = false
	for g := range q.queues {
		for range g.mayCall(q.opening(g.route), now) {
			p, ok := g.waiting.Min()
			if !ok || !q.roomFor(p) {
				break
			}
			held, ok := q.hold(p)
			if !ok {
				q.heavies.gated = true
				break
			}
			g.waiting.Delete(p)
			delete(q.parked, p.Seq)
			q.makeRoom()
			g.called++
			load(p, g, held)
		}
		q.tidy(g)
	}
	for {
		p, ok := q.far.Min()
		if !ok || p.Due > soon || !q.roomFor(p) {
			break
		}
		q.far.Delete(p)
		if h, large := q.heavies.known[p.Seq]; large {
			q.heavies.setAside(p, h.route.Value())
			continue
		}
		q.makeRoom()
		load(p, nil, 0)
	}
	q.loadHeavies(func(p job.Position, held int64) { load(p, nil, held) })
	return seqs
}

// roomFor reports whether the record at p may be loaded now: if there is room, or if a
// loaded record is due later.
func (q *Queue) roomFor(p job.Position) bool {
	if q.loading >= MaxLoading {
		return false
	}
	last, ok := q.ready.Max()
	return q.loaded < q.most || ok && p.Due < last.Due
}

// makeRoom puts the loaded record that is due last back into the far future, if too much
// is loaded.
func (q *Queue) makeRoom() {
	if last, ok := q.ready.Max(); ok && q.loaded >= q.most {
		q.dropNear(q.near[last.Seq])
		q.far.Set(last)
	}
}

// SetLoaded adds a loaded record. Its own due time counts: a record that is due much
// later goes back to the far future.
func (q *Queue) SetLoaded(r job.Record, now time.Time) {
	n, ok := q.near[r.Revision]
	if !ok || n.stage != isLoading {
		return // replaced meanwhile
	}
	q.loading--
	if c, ok := q.firing[r.Revision]; ok {
		r.Due = c.Due // as it was judged when it was observed
	}
	n.at.Due = r.Due
	n.again = q.tryNow(r.Revision)
	if r.Due > now.Add(2*loadAhead).UnixMilli() {
		delete(q.near, r.Revision)
		q.unhold(n)
		q.release(n)
		q.far.Set(n.at)
		return
	}
	n.stage, n.rec = isReady, r
	q.settle(n)
	if n.size = r.Size(); n.held > 0 {
		n.size -= len(r.Meta)
	}
	q.loaded += n.size
	q.ready.Set(n.at)
}

// PutBack puts all records that are loaded, or being loaded, back into the far future.
func (q *Queue) PutBack() {
	for _, n := range q.near {
		if n.stage != isClaiming {
			q.dropNear(n)
			q.far.Set(n.at)
		}
	}
}

// RetryAt puts back a record that could not be loaded or claimed. It is tried again at
// the given time.
func (q *Queue) RetryAt(seq uint64, again time.Time) {
	n, ok := q.near[seq]
	if !ok {
		return
	}
	q.dropNear(n)
	q.postpone(n)
	q.far.Set(job.Position{Due: again.Add(loadAhead).UnixMilli(), Seq: seq})
}

// postpone keeps the due time of a record that is tried again later, unless it is firing
// already.
func (q *Queue) postpone(n *nearRecord) {
	at := n.at
	if was, ok := q.postponedAt[at.Seq]; ok { // at is when it was to be retried
		at = was
	}
	if _, firing := q.firing[at.Seq]; !firing {
		q.postponed.Set(at)
		q.postponedAt[at.Seq] = at
	}
}

// tryNow forgets that a record was postponed, and reports whether it was.
func (q *Queue) tryNow(seq uint64) bool {
	at, ok := q.postponedAt[seq]
	if ok {
		delete(q.postponedAt, seq)
		q.postponed.Delete(at)
	}
	return ok
}

// ToFire returns at most max of the records that are due, in due order. Each stays in the
// queue until its claim is observed, or until Remove or RetryAt is called. The caller
// takes over the room that a large record holds.
func (q *Queue) ToFire(now time.Time, max int) []job.Record {
	ms := now.UnixMilli()
	var due []job.Record
	for len(due) < max {
		p, ok := q.ready.Min()
		if !ok || p.Due > ms {
			break
		}
		q.ready.Delete(p)
		n := q.near[p.Seq]
		// A firing record that is claimed anew is already counted.
		if n.rec.Status != job.Firing && !q.admit(n, now) {
			continue
		}
		n.stage = isClaiming
		q.claims[n.rec.Key] = p.Seq
		if n.rec.Status != job.Firing {
			q.claiming[p.Seq] = ms
			if n.again {
				q.claiming[p.Seq] = 0
			}
		}
		due = append(due, n.rec)
		q.handOver(n)
	}
	return due
}

// NextLoad returns when ToLoad will return a record by itself; zero means not before
// something else happens.
func (q *Queue) NextLoad() time.Time {
	p, ok := q.far.Min()
	if !ok || !q.roomFor(p) {
		return time.Time{}
	}
	return time.UnixMilli(p.Due).Add(-loadAhead)
}

// NextFire returns when ToFire will return a record by itself; zero as for NextLoad.
func (q *Queue) NextFire() time.Time {
	p, ok := q.ready.Min()
	if !ok {
		return time.Time{}
	}
	return time.UnixMilli(p.Due)
}
