package due

import (
	"time"
	"unique"

	"github.com/tidwall/btree"

	"belfry/internal/job"
)

// heavies holds the queue's large records. They are loaded only while their route has
// room for them; see [InFlight]. A large record that comes due without room is set aside
// in a queue of its route, so others pass it.
type heavies struct {
	room  InFlight
	known map[uint64]heavy // the large records that the tail brought, by sequence

	aside  map[uint64]asideAt                           // the records that wait for room, by sequence
	queues map[job.RouteKey]*btree.BTreeG[job.Position] // those in aside, by route
	ready  *btree.BTreeG[job.Position]                  // the large ones among the queue's ready records
	gated  bool                                         // some records wait at their gate for room alone
}

// heavy is what is known about a large record before it is loaded.
type heavy struct {
	bytes uint32
	route unique.Handle[job.RouteKey]
}

// lookForRoom is how many routes may be refused room before the queue stops asking.
const lookForRoom = 64

type asideAt struct {
	at    job.Position
	route job.RouteKey
}

func newHeavies() heavies {
	return heavies{
		known: map[uint64]heavy{}, aside: map[uint64]asideAt{},
		queues: map[job.RouteKey]*btree.BTreeG[job.Position]{}, ready: newPositions(),
	}
}

// Weigh records how many bytes an observed record has.
func (q *Queue) Weigh(r job.Record, bytes int) {
	if bytes > LargeRecord && (r.Status.Waiting() || r.Status == job.Firing) {
		q.heavies.known[r.Revision] = heavy{uint32(bytes), unique.Make(r.RouteKey())}
	}
}

// setAside makes a large record wait for room.
func (h *heavies) setAside(p job.Position, k job.RouteKey) {
	h.aside[p.Seq] = asideAt{p, k}
	if h.queues[k] == nil {
		h.queues[k] = newPositions()
	}
	h.queues[k].Set(p)
}

// takeBack undoes setAside, and reports whether the record was there.
func (h *heavies) takeBack(seq uint64) bool {
	w, ok := h.aside[seq]
	if !ok {
		return false
	}
	delete(h.aside, seq)
	q := h.queues[w.route]
	q.Delete(w.at)
	if q.Len() == 0 {
		delete(h.queues, w.route)
	}
	return true
}

// hungry reports whether records wait for room.
func (h *heavies) hungry() bool { return h.gated || len(h.aside) > 0 }

// due counts the records that are due but wait for room.
func (h *heavies) due(now time.Time) (n int) {
	for _, q := range h.queues {
		n += dueIn(q, now)
	}
	return n
}

// hold takes the room that the record at p needs to be loaded. If there is too little,
// loaded records of its route that are due later give up theirs, provided that this makes
// enough.
func (q *Queue) hold(p job.Position) (held int64, ok bool) {
	h, large := q.heavies.known[p.Seq]
	if !large {
		return 0, true
	}
	k, pool := h.route.Value(), q.heavies.room.Pool
	held = q.heavies.room.Cost(int(h.bytes))
	if pool.TryTake(RoomOwner(k), held) {
		return held, true
	}
	lacks, helps := pool.Lacks(RoomOwner(k), held)
	if !helps {
		return 0, false
	}
	later, theirs := q.laterThan(p.Due, k, lacks)
	if theirs < lacks || !pool.Exchange(RoomOwner(k), theirs, held) {
		return 0, false
	}
	for _, n := range later {
		q.handOver(n) // Exchange has given back its room
		q.dropNear(n)
		q.heavies.setAside(n.at, k)
	}
	return held, true
}

// laterThan returns large records of the route that are loaded and due after due, the
// latest first, until they hold bytes bytes together. held is how much they hold.
func (q *Queue) laterThan(due int64, k job.RouteKey, bytes int64) (later []*nearRecord, held int64) {
	q.heavies.ready.Reverse(func(p job.Position) bool {
		if p.Due <= due || held >= bytes {
			return false
		}
		if n := q.near[p.Seq]; n.rec.RouteKey() == k {
			later = append(later, n)
			held += n.held
		}
		return true
	})
	return later, held
}

// settle makes a loaded record hold the room for its actual size and route.
func (q *Queue) settle(n *nearRecord) {
	owner, need := RoomOwner(n.rec.RouteKey()), q.heavies.room.Cost(len(n.rec.Meta))
	pool := q.heavies.room.Pool
	if n.owner == owner && n.held > need {
		pool.Give(owner, n.held-need)
	} else if n.held != need { // its size or route was unknown, or is another
		pool.Give(n.owner, n.held)
		pool.Force(owner, need)
	}
	n.owner, n.held = owner, need
	if need > 0 {
		q.heavies.ready.Set(n.at)
	}
}

// unhold gives back the room that a near record holds.
func (q *Queue) unhold(n *nearRecord) {
	q.heavies.room.Pool.Give(n.owner, n.held)
	q.handOver(n)
}

// ReleaseRoom gives back all room of a queue that is not used any more.
func (q *Queue) ReleaseRoom() {
	for _, n := range q.near {
		q.unhold(n)
	}
}

// handOver passes the room of a near record, and its bytes, on to its fire.
func (q *Queue) handOver(n *nearRecord) {
	if n.held == 0 {
		return
	}
	n.held, n.rec.Meta = 0, nil
	q.heavies.ready.Delete(n.at)
}

// loadHeavies calls load with the large records that wait and have room now. While
// nothing is free it looks at a few routes only, other ones each time.
func (q *Queue) loadHeavies(load func(p job.Position, held int64)) {
	full := 0
	for _, waiting := range q.heavies.queues {
		if full == lookForRoom {
			return
		}
		for q.loading < MaxLoading {
			p, ok := waiting.Min()
			if !ok {
				break
			}
			held, ok := q.hold(p)
			if !ok {
				full++
				break
			}
			q.heavies.takeBack(p.Seq)
			load(p, held)
		}
	}
}
