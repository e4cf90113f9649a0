package streams

import (
	"time"

	"github.com/tidwall/btree"

	"belfry/internal/job"
)

// The limits of the timer.
const (
	// loadAhead is how long before their time records are loaded.
	loadAhead = 3 * time.Second
	// maxLoaded bounds the meta held in memory, in bytes.
	maxLoaded = 64 << 20
	// maxLoading and maxFiring bound the reads and the fires under way.
	maxLoading = 256
	maxFiring  = 1024
	// gateLimit is how many fires of one REST route may be out. The others
	// stay scheduled, where they can be cancelled and do not grow old.
	gateLimit = 1000
)

// agenda decides what the timer does next: which records to load, and which to
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
// and leaves it when a newer record of the same job replaces it, or when it is
// found to be gone. For the far future only its position is kept.
type agenda struct {
	// gated says whether the fires of a route are limited.
	gated func(job.RouteKey) bool

	far    *btree.BTreeG[job.Position]
	near   map[uint64]*nearRecord      // by sequence
	ready  *btree.BTreeG[job.Position] // the near records that wait for their time
	firing map[uint64]claimed          // the claims that are not finished, by sequence
	gates  map[job.RouteKey]*gate      // of the gated routes with anything in them
	queues map[*gate]struct{}          // the gates with records waiting
	parked map[uint64]*gate            // those records, by sequence

	loading int // how many near records are in this stage
	loaded  int // bytes that near records take, roughly
}

type nearRecord struct {
	at    job.Position
	stage stage
	rec   job.Record // from ready on
	from  *gate      // the gate that called it up, until it claims
	in    *gate      // the gate that it counts at, while it claims
}

// size is roughly what a loaded record takes in memory, in bytes.
func size(r job.Record) int { return len(r.Meta) + 512 }

type stage int

const (
	isLoading stage = iota
	isReady
	isClaiming
)

// claimed is what the agenda knows of a firing record: enough to count it, and
// to find out what became of its fire.
type claimed struct {
	due               int64
	route             job.RouteKey
	epoch, firesAfter uint64
	gate              *gate // nil when the route has none
}

// gate counts the fires of one route that are out.
type gate struct {
	route   job.RouteKey
	out     int // claimed, or about to be
	called  int // called up from waiting, not yet claimed
	waiting *btree.BTreeG[job.Position]
}

func newAgenda(gated func(job.RouteKey) bool) *agenda {
	return &agenda{
		gated:  gated,
		far:    newPositions(),
		near:   map[uint64]*nearRecord{},
		ready:  newPositions(),
		firing: map[uint64]claimed{},
		gates:  map[job.RouteKey]*gate{},
		queues: map[*gate]struct{}{},
		parked: map[uint64]*gate{},
	}
}

func newPositions() *btree.BTreeG[job.Position] {
	return btree.NewBTreeGOptions(job.Position.Before, btree.Options{NoLocks: true})
}

// observe takes in the headers of a record as the tail brings them, in the
// order of the bucket.
func (a *agenda) observe(r job.Record) {
	a.forget(r.Replaces)
	switch {
	case r.Status == job.Firing:
		a.firing[r.Revision] = claimed{
			due: r.Due, route: r.RouteKey(), epoch: r.Epoch, firesAfter: r.FiresAfter,
			gate: a.enter(r.RouteKey()),
		}
		a.far.Set(r.Position())
	case r.Status.Waiting():
		a.far.Set(r.Position())
	}
}

// observeUnknown takes in a record whose headers do not tell when it is due:
// it is loaded at once.
func (a *agenda) observeUnknown(seq uint64) { a.far.Set(job.Position{Seq: seq}) }

// forget drops the record at p wherever it is.
func (a *agenda) forget(p job.Position) {
	if p.Seq == 0 {
		return
	}
	if c, ok := a.firing[p.Seq]; ok {
		delete(a.firing, p.Seq)
		a.leave(c.gate)
		p.Due = c.due
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
	a.far.Delete(p)
}

// gone drops the record at seq, which its leader does not have any more.
func (a *agenda) gone(seq uint64) { a.forget(job.Position{Seq: seq}) }

func (a *agenda) dropNear(n *nearRecord) {
	delete(a.near, n.at.Seq)
	switch n.stage {
	case isLoading:
		a.loading--
	case isReady:
		a.ready.Delete(n.at)
	}
	if n.stage != isLoading {
		a.loaded -= size(n.rec)
	}
	a.release(n)
}

// release frees what the record holds of its gate.
func (a *agenda) release(n *nearRecord) {
	if g := n.from; g != nil {
		n.from = nil
		g.called--
		a.tidy(g)
	}
	if g := n.in; g != nil {
		n.in = nil
		a.leave(g)
	}
}

// toLoad returns the records to load now, and counts on each being answered
// with took, gone or failed.
func (a *agenda) toLoad(now time.Time) []uint64 {
	soon := now.Add(loadAhead).UnixMilli()
	var seqs []uint64
	load := func(p job.Position, from *gate) {
		a.near[p.Seq] = &nearRecord{at: p, stage: isLoading, from: from}
		a.loading++
		seqs = append(seqs, p.Seq)
	}
	room := func() bool { return a.loading < maxLoading && a.loaded < maxLoaded }
	for g := range a.queues {
		for g.out+g.called < gateLimit && room() {
			p, ok := g.waiting.PopMin()
			if !ok {
				break
			}
			delete(a.parked, p.Seq)
			g.called++
			load(p, g)
		}
		a.tidy(g)
	}
	for room() {
		p, ok := a.far.Min()
		if !ok || p.Due > soon {
			break
		}
		a.far.Delete(p)
		load(p, nil)
	}
	return seqs
}

// took takes in a loaded record. Its own due time counts: one that is due much
// later goes back to the far future.
func (a *agenda) took(r job.Record, now time.Time) {
	n, ok := a.near[r.Revision]
	if !ok || n.stage != isLoading {
		return // replaced meanwhile
	}
	a.loading--
	n.at.Due = r.Due
	if r.Due > now.Add(2*loadAhead).UnixMilli() {
		delete(a.near, r.Revision)
		a.release(n)
		a.far.Set(n.at)
		return
	}
	n.stage, n.rec = isReady, r
	a.loaded += size(r)
	a.ready.Set(n.at)
}

// failed puts back a record that could not be loaded or claimed, to be tried
// again at the given time.
func (a *agenda) failed(seq uint64, again time.Time) {
	n, ok := a.near[seq]
	if !ok {
		return
	}
	a.dropNear(n)
	a.far.Set(job.Position{Due: again.Add(loadAhead).UnixMilli(), Seq: seq})
}

// toFire returns at most max of the records that are due, in due order. Each
// stays until its claim is observed, or until gone or failed is called.
func (a *agenda) toFire(now time.Time, max int) []job.Record {
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
		if n.rec.Status != job.Firing && !a.admit(n) {
			continue
		}
		n.stage = isClaiming
		due = append(due, n.rec)
	}
	return due
}

// admit lets a due record through its route's gate, or parks it there: when
// the gate is shut, or when others that wait there have not been called yet.
func (a *agenda) admit(n *nearRecord) bool {
	g := a.enter(n.rec.RouteKey())
	if g == nil {
		return true
	}
	if g.out <= gateLimit && (n.from == g || g.waiting.Len() == 0) {
		n.in = g
		if n.from != nil {
			n.from = nil
			g.called--
		}
		return true
	}
	a.dropNear(n)
	a.parked[n.at.Seq] = g
	g.waiting.Set(n.at)
	a.queues[g] = struct{}{}
	a.leave(g)
	return false
}

// enter counts a fire of the route as out, if the route is gated.
func (a *agenda) enter(k job.RouteKey) *gate {
	g := a.gates[k]
	if g == nil {
		if !a.gated(k) {
			return nil
		}
		g = &gate{route: k, waiting: newPositions()}
		a.gates[k] = g
	}
	g.out++
	return g
}

// leave undoes enter.
func (a *agenda) leave(g *gate) {
	if g != nil {
		g.out--
		a.tidy(g)
	}
}

// tidy drops what of a gate is empty.
func (a *agenda) tidy(g *gate) {
	if g.waiting.Len() > 0 {
		return
	}
	delete(a.queues, g)
	if g.out == 0 && g.called == 0 {
		delete(a.gates, g.route)
	}
}

// nextLoad returns when toLoad will have something; zero is not before
// something else happens.
func (a *agenda) nextLoad() time.Time {
	p, ok := a.far.Min()
	if !ok || a.loading >= maxLoading || a.loaded >= maxLoaded {
		return time.Time{}
	}
	return time.UnixMilli(p.Due).Add(-loadAhead)
}

// nextFire is the same for toFire.
func (a *agenda) nextFire() time.Time {
	p, ok := a.ready.Min()
	if !ok {
		return time.Time{}
	}
	return time.UnixMilli(p.Due)
}
