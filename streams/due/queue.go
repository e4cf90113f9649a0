package due

import (
	"time"

	"github.com/tidwall/btree"

	"belfry/internal/job"
)

// The limits of what is loaded.
const (
	// loadAhead is how long before their time records are loaded.
	loadAhead = 3 * time.Second
	// maxLoaded bounds the meta of small records held in memory, in bytes.
	maxLoaded = 64 << 20
	// MaxLoading bounds the reads under way.
	MaxLoading = 256
)

// Queue decides what the timer does next: which records to load, and which to
// fire. It is pure: it learns of the records through its methods, takes the
// time as a parameter, and does nothing by itself. It is for one goroutine.
//
// A waiting record is in one place at a time:
//
//	far ──soon due──▶ near: loading ──▶ ready ──due──▶ claiming
//	 ▲                          ▲          │
//	 └── due much later ────────┤          ▼ the route's gate is shut
//	                            └─────── parked
//
// A large record goes from far through a queue of its route, aside, until there is
// room for it; see [heavies].
//
// and leaves it when a newer record of the same job replaces it, or when it is
// found to be gone. For the far future only its position is kept.
type Queue struct {
	// opening says how far the gate of a route is open.
	opening func(job.RouteKey) GateState

	far    *btree.BTreeG[job.Position]
	near   map[uint64]*nearRecord      // by sequence
	ready  *btree.BTreeG[job.Position] // the near records that wait for their time
	firing map[uint64]Claim            // the claims that are not finished, by sequence
	gates  map[job.RouteKey]*gate      // of the routes that have one, with anything in it
	queues map[*gate]struct{}          // the gates with records waiting
	parked map[uint64]*gate            // those records, by sequence
	claims map[job.Key]uint64          // of each job that is claiming or firing, the record

	Book *Claims // the firing ones, for others to ask

	// postponed are the records that could not be loaded or claimed, by their own
	// due time: in far they stand at when they are tried again.
	postponed   *btree.BTreeG[job.Position]
	postponedAt map[uint64]job.Position // by sequence
	claiming    map[uint64]int64        // since when waiting records are claimed, by sequence

	loading int // how many near records are in this stage
	loaded  int // bytes that near records take, roughly; the meta of large ones aside
	most    int // how many they may take

	heavies heavies
}

type nearRecord struct {
	at    job.Position
	stage stage
	rec   job.Record // from ready on
	from  *gate      // the gate that called it up, until it claims
	in    *gate      // the gate that it counts at, while it claims
	again bool       // it could not be loaded or claimed before
	size  int        // what it counts in loaded

	held  int64  // the room that it has, if it is large
	owner string // of that room
}

type stage int

const (
	isLoading stage = iota
	isReady
	isClaiming
)

// Claim is what the queue knows of a firing record: enough to count it, and
// to find out what became of its fire.
type Claim struct {
	key               job.Key
	Due               int64
	Route             job.RouteKey
	Epoch, FiresAfter uint64
	gate              *gate // nil when the route has none
}

// NewQueue makes an empty one. openings says how far the gate of a route is open, and
// begun is told of the route of each claim that stands; it does not block.
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
		Book:    newClaimBook(begun),

		postponed: newPositions(), postponedAt: map[uint64]job.Position{}, claiming: map[uint64]int64{},

		most: maxLoaded, heavies: newHeavies(),
	}
}

func newPositions() *btree.BTreeG[job.Position] {
	return btree.NewBTreeGOptions(job.Position.Before, btree.Options{NoLocks: true})
}

// Observe takes in the headers of a record as the tail brings them, in the
// order of the bucket.
func (a *Queue) Observe(r job.Record) {
	a.forget(r.Replaces)
	a.Overtaken(r.Key, r.Revision)
	switch {
	case r.Status == job.Firing:
		a.claims[r.Key] = r.Revision
		a.Book.add(r)
		g, _ := a.enter(r.RouteKey())
		a.firing[r.Revision] = Claim{
			key: r.Key, Due: r.Due, Route: r.RouteKey(), Epoch: r.Epoch, FiresAfter: r.FiresAfter, gate: g,
		}
		a.far.Set(r.Position())
	case r.Status.Waiting():
		a.far.Set(r.Position())
	}
}

// Overtaken drops the claim of a job of which there is a newer record. The
// bucket keeps only the last one, so the tail may have missed those between,
// and what the last one says it replaces need not be what is known here.
// Waiting records that are overtaken so are found gone when they come due.
func (a *Queue) Overtaken(k job.Key, revision uint64) {
	if seq, ok := a.claims[k]; ok && seq < revision {
		a.Remove(seq)
	}
}

// ObserveUnknown takes in a record whose headers do not tell when it is due:
// it is loaded at once.
func (a *Queue) ObserveUnknown(r job.Record) {
	a.Overtaken(r.Key, r.Revision)
	a.far.Set(job.Position{Seq: r.Revision})
}

// Before counts the records, waiting or firing, that stood before a sequence.
func (a *Queue) Before(first uint64) int {
	n := 0
	a.far.Scan(func(p job.Position) bool {
		if p.Seq < first {
			n++
		}
		return true
	})
	for seq := range a.near {
		if seq < first {
			n++
		}
	}
	for seq := range a.parked {
		if seq < first {
			n++
		}
	}
	for seq := range a.heavies.aside {
		if seq < first {
			n++
		}
	}
	return n
}

// forget drops the record at p wherever it is.
func (a *Queue) forget(p job.Position) {
	if p.Seq == 0 {
		return
	}
	a.tryNow(p.Seq)
	delete(a.heavies.known, p.Seq)
	if c, ok := a.firing[p.Seq]; ok {
		delete(a.firing, p.Seq)
		a.Book.drop(p.Seq)
		a.unclaim(c.key, p.Seq)
		a.leave(c.gate)
		p.Due = c.Due
	}
	if n, ok := a.near[p.Seq]; ok {
		a.dropNear(n)
		return
	}
	if g, ok := a.parked[p.Seq]; ok {
		delete(a.parked, p.Seq)
		g.waiting.Delete(p)
		a.tidy(g)
		return
	}
	if a.heavies.takeBack(p.Seq) {
		return
	}
	a.far.Delete(p)
}

// Remove drops the record at seq, which its leader does not have any more.
func (a *Queue) Remove(seq uint64) { a.forget(job.Position{Seq: seq}) }

// unclaim notes that the record at seq is not the job's claim any more, unless
// it still fires.
func (a *Queue) unclaim(k job.Key, seq uint64) {
	if _, firing := a.firing[seq]; !firing && a.claims[k] == seq {
		delete(a.claims, k)
	}
}

func (a *Queue) dropNear(n *nearRecord) {
	delete(a.near, n.at.Seq)
	delete(a.claiming, n.at.Seq)
	a.unclaim(n.rec.Key, n.at.Seq)
	switch n.stage {
	case isLoading:
		a.loading--
	case isReady:
		a.ready.Delete(n.at)
	}
	a.loaded -= n.size
	a.unhold(n)
	a.release(n)
}

// Bound has what is loaded take its room from f.
func (a *Queue) Bound(f InFlight) { a.most, a.heavies.room = f.loaded(), f }

// Hungry reports whether large records wait for room.
func (a *Queue) Hungry() bool { return a.heavies.hungry() }

// Stands reports whether a claim is not finished.
func (a *Queue) Stands(claim uint64) bool {
	_, ok := a.firing[claim]
	return ok
}

// EachClaim visits the claims that are not finished. bytes is the size of a large one.
func (a *Queue) EachClaim(visit func(seq uint64, c Claim, bytes int)) {
	for seq, c := range a.firing {
		visit(seq, c, int(a.heavies.known[seq].bytes))
	}
}

// Ready counts the records that are loaded and wait for their time.
func (a *Queue) Ready() int { return a.ready.Len() }

// Entries counts all that is held.
func (a *Queue) Entries() int {
	return a.far.Len() + len(a.near) + len(a.parked) + len(a.firing) + len(a.gates) + len(a.queues) + len(a.claims) + len(a.heavies.aside) + len(a.heavies.known)
}
