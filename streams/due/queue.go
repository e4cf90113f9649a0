package due

import (
	"time"

	"github.com/tidwall/btree"

	"belfry/internal/job"
)

// These are the limits on loaded records.
const (
	// loadAhead is how long before their due time records are loaded.
	loadAhead = 3 * time.Second
	// maxLoaded bounds, in bytes, the meta of small records held in memory.
	maxLoaded = 64 << 20
	// MaxLoading bounds the reads under way.
	MaxLoading = 256
)

// Queue decides what the timer does next: which records to load, and which to fire. It is
// pure: it learns of the records through its methods, takes the time as a parameter, and
// does nothing by itself. It is for one goroutine.
//
// A waiting record is in one place at a time:
//
//	far ──soon due──▶ near: loading ──▶ ready ──due──▶ claiming
//	 ▲                          ▲          │
//	 └── due much later ────────┤          ▼ the route's gate is shut
//	                            └─────── parked
//
// A large record goes from far through a queue of its route, aside, until there is room
// for it; see [heavies].
//
// A record leaves the queue when a newer record of the same job replaces it, or when it
// is found to be gone. For the far future only its position is kept.
type Queue struct {
	// opening says how far the gate of a route is open.
	opening func(job.RouteKey) GateState

	far    *btree.BTreeG[job.Position]
	near   map[uint64]*nearRecord      // by sequence
	ready  *btree.BTreeG[job.Position] // the near records that wait for their time
	firing map[uint64]Claim            // the claims that are not finished, by sequence
	gates  map[job.RouteKey]*gate      // of the routes that have one, if not empty
	queues map[*gate]struct{}          // the gates with records waiting
	parked map[uint64]*gate            // those records, by sequence
	claims map[job.Key]uint64          // the record of each job that is claiming or firing

	Book *Claims // the firing ones, for others to ask

	// postponed holds the records that could not be loaded or claimed, by their own due
	// time. In far they have the time of the retry instead.
	postponed   *btree.BTreeG[job.Position]
	postponedAt map[uint64]job.Position // by sequence
	claiming    map[uint64]int64        // since when each waiting record is being claimed, by sequence

	loading int // how many near records are being loaded
	loaded  int // roughly the bytes of the near records, without the meta of large ones
	most    int // the bound on loaded

	heavies heavies
}

type nearRecord struct {
	at    job.Position
	stage stage
	rec   job.Record // set from ready on
	from  *gate      // the gate that called it up, until the claim
	in    *gate      // the gate that counts it, during the claim
	again bool       // a load or claim of it failed before
	size  int        // its part of loaded

	held  int64  // the room that it holds, if it is large
	owner string // of that room
}

type stage int

const (
	isLoading stage = iota
	isReady
	isClaiming
)

// Claim is what the queue knows about a firing record: enough to count it, and to resolve
// the outcome of its fire.
type Claim struct {
	key               job.Key
	Due               int64
	Route             job.RouteKey
	Epoch, FiresAfter uint64
	gate              *gate // nil when the route has none
}

// NewQueue returns an empty queue. openings says how far the gate of a route is open.
// begun is called with the route of each standing claim; it must not block.
func NewQueue(openings func(job.RouteKey) GateState, begun func(job.RouteKey)) *Queue {
	return &Queue{
		opening: openings,
		far:     newPositions(),
		near:    map[uint64]*nearRecord{},
		ready:   newPositions(),
		firing:  map[uint64]Claim{},
		gates:   map[job.RouteKey]*gate{},
		queues:  map[*gate]struct{}{},
		parked:  map[uint64]*gate{},
		claims:  map[job.Key]uint64{},
		Book:    newClaims(begun),

		postponed: newPositions(), postponedAt: map[uint64]job.Position{}, claiming: map[uint64]int64{},

		most: maxLoaded, heavies: newHeavies(),
	}
}

func newPositions() *btree.BTreeG[job.Position] {
	return btree.NewBTreeGOptions(job.Position.Before, btree.Options{NoLocks: true})
}

// Observe adds the headers of a record from the tail, in the order of the bucket.
func (q *Queue) Observe(r job.Record) {
	q.forget(r.Replaces)
	q.DropOvertaken(r.Key, r.Revision)
	switch {
	case r.Status == job.Firing:
		q.claims[r.Key] = r.Revision
		q.Book.add(r)
		g, _ := q.enter(r.RouteKey())
		q.firing[r.Revision] = Claim{
			key: r.Key, Due: r.Due, Route: r.RouteKey(), Epoch: r.Epoch, FiresAfter: r.FiresAfter, gate: g,
		}
		q.far.Set(r.Position())
	case r.Status.Waiting():
		q.far.Set(r.Position())
	}
}

// DropOvertaken drops the claim of a job that has a newer record. The bucket keeps only
// the last record, so the tail may have missed those between, and the record that the
// last one replaces need not be known here. Waiting records that were overtaken in this
// way are found gone when they come due.
func (q *Queue) DropOvertaken(k job.Key, revision uint64) {
	if seq, ok := q.claims[k]; ok && seq < revision {
		q.Remove(seq)
	}
}

// ObserveUnknown adds a record whose headers do not tell when it is due. It is loaded at
// once.
func (q *Queue) ObserveUnknown(r job.Record) {
	q.DropOvertaken(r.Key, r.Revision)
	q.far.Set(job.Position{Seq: r.Revision})
}

// Before counts the records, waiting or firing, with a sequence below first.
func (q *Queue) Before(first uint64) int {
	n := 0
	q.far.Scan(func(p job.Position) bool {
		if p.Seq < first {
			n++
		}
		return true
	})
	for seq := range q.near {
		if seq < first {
			n++
		}
	}
	for seq := range q.parked {
		if seq < first {
			n++
		}
	}
	for seq := range q.heavies.aside {
		if seq < first {
			n++
		}
	}
	return n
}

// forget drops the record at p wherever it is.
func (q *Queue) forget(p job.Position) {
	if p.Seq == 0 {
		return
	}
	q.tryNow(p.Seq)
	delete(q.heavies.known, p.Seq)
	if c, ok := q.firing[p.Seq]; ok {
		delete(q.firing, p.Seq)
		q.Book.drop(p.Seq)
		q.unclaim(c.key, p.Seq)
		q.leave(c.gate)
		p.Due = c.Due
	}
	if n, ok := q.near[p.Seq]; ok {
		q.dropNear(n)
		return
	}
	if g, ok := q.parked[p.Seq]; ok {
		delete(q.parked, p.Seq)
		g.waiting.Delete(p)
		q.tidy(g)
		return
	}
	if q.heavies.takeBack(p.Seq) {
		return
	}
	q.far.Delete(p)
}

// Remove drops the record at seq, which is gone from the leader.
func (q *Queue) Remove(seq uint64) { q.forget(job.Position{Seq: seq}) }

// unclaim records that the record at seq is no longer the job's claim, unless it is still
// firing.
func (q *Queue) unclaim(k job.Key, seq uint64) {
	if _, firing := q.firing[seq]; !firing && q.claims[k] == seq {
		delete(q.claims, k)
	}
}

func (q *Queue) dropNear(n *nearRecord) {
	delete(q.near, n.at.Seq)
	delete(q.claiming, n.at.Seq)
	q.unclaim(n.rec.Key, n.at.Seq)
	switch n.stage {
	case isLoading:
		q.loading--
	case isReady:
		q.ready.Delete(n.at)
	}
	q.loaded -= n.size
	q.unhold(n)
	q.release(n)
}

// SetLimit makes loaded records take their room from f.
func (q *Queue) SetLimit(f InFlight) { q.most, q.heavies.room = f.loaded(), f }

// Hungry reports whether large records wait for room.
func (q *Queue) Hungry() bool { return q.heavies.hungry() }

// Stands reports whether a claim is not finished.
func (q *Queue) Stands(claim uint64) bool {
	_, ok := q.firing[claim]
	return ok
}

// EachClaim visits the claims that are not finished. bytes is the size of a large one.
func (q *Queue) EachClaim(visit func(seq uint64, c Claim, bytes int)) {
	for seq, c := range q.firing {
		visit(seq, c, int(q.heavies.known[seq].bytes))
	}
}

// Ready counts the records that are loaded and wait for their time.
func (q *Queue) Ready() int { return q.ready.Len() }

// Entries counts all records in the queue.
func (q *Queue) Entries() int {
	return q.far.Len() + len(q.near) + len(q.parked) + len(q.firing) + len(q.gates) + len(q.queues) + len(q.claims) + len(q.heavies.aside) + len(q.heavies.known)
}
