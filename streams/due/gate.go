package due

import (
	"math"
	"time"

	"github.com/tidwall/btree"

	"belfry/internal/job"
)

// GateLimit is how many fires of one REST route may be out. The others stay
// scheduled, where they can be cancelled and do not grow old.
const GateLimit = 1000

// Unlimited is how far the gate of a route without one is open.
const Unlimited = math.MaxInt

// GateState is how far the gate of a route is open now.
type GateState struct {
	Out int // how many fires may be out

	// PerSecond is how many fires may begin per second, each with a permit;
	// 0 is any number, without.
	PerSecond float64

	// Ahead is how far ahead a permit can be; 0 is any time.
	Ahead time.Duration

	// Held says that the route is paused, or its endpoint down: those who wait
	// are meant to.
	Held bool

	// Again is when it opens further by itself, if that is known.
	Again time.Time
}

// gate counts the fires of one route that are out.
type gate struct {
	route   job.RouteKey
	out     int // claimed, or about to be
	called  int // called up from waiting, not yet claimed
	waiting *btree.BTreeG[job.Position]

	permits []time.Time // to begin a fire each, at that time; in their order
	asking  bool        // for more of them
}

// admit lets a due record through its route's gate, or parks it there: when
// the gate is shut, or when it is not its turn: others wait there, or were called
// up and are being loaded.
func (q *Queue) admit(n *nearRecord, now time.Time) bool {
	g, open := q.enter(n.rec.RouteKey())
	if g == nil {
		return true
	}
	inTurn := n.from == g || g.waiting.Len() == 0 && g.called == 0
	if g.out <= open.Out && inTurn && g.spend(open, now) {
		n.in = g
		if n.from != nil {
			n.from = nil
			g.called--
		}
		return true
	}
	q.dropNear(n)
	q.parked[n.at.Seq] = g
	g.waiting.Set(n.at)
	q.queues[g] = struct{}{}
	q.leave(g)
	return false
}

// enter counts a fire of the route as out, if the route has a gate.
func (q *Queue) enter(k job.RouteKey) (*gate, GateState) {
	g, open := q.gates[k], q.opening(k)
	if g == nil {
		if open.Out == Unlimited {
			return nil, open
		}
		g = &gate{route: k, waiting: newPositions()}
		q.gates[k] = g
	}
	g.out++
	return g, open
}

// spend uses up a permit, if the route needs them.
func (g *gate) spend(open GateState, now time.Time) bool {
	if open.PerSecond == 0 {
		return true
	}
	g.forget(open, now)
	if g.ripe(now) == 0 {
		return false
	}
	g.permits = g.permits[1:]
	return true
}

// forget drops the permits that were not used in time, as of a gate that was shut
// or full: used later they would come on top of those for then. Those of records
// that were called up stay, however long it takes to load them. Those that are too
// far ahead are of a clock that was set back since.
func (g *gate) forget(open GateState, now time.Time) {
	for n := len(g.permits); open.Ahead > 0 && n > 0 && g.permits[n-1].Sub(now) > open.Ahead; n-- {
		g.permits = g.permits[:n-1]
	}
	for free := g.ripe(now) - g.called; free > 0 && g.permits[0].Add(permitsAhead).Before(now); free-- {
		g.permits = g.permits[1:]
	}
}

// ripe counts the permits for now.
func (g *gate) ripe(now time.Time) int {
	n := 0
	for n < len(g.permits) && !g.permits[n].After(now) {
		n++
	}
	return n
}

// mayCall is how many of the waiting records may be called up.
func (g *gate) mayCall(open GateState, now time.Time) int {
	n := open.Out - g.out
	if open.PerSecond > 0 {
		g.forget(open, now)
		n = min(n, g.ripe(now))
	}
	return n - g.called
}

// leave undoes enter.
func (q *Queue) leave(g *gate) {
	if g != nil {
		g.out--
		q.tidy(g)
	}
}

// tidy drops what of a gate is empty.
func (q *Queue) tidy(g *gate) {
	if g.waiting.Len() > 0 {
		return
	}
	delete(q.queues, g)
	if g.out == 0 && g.called == 0 {
		delete(q.gates, g.route)
	}
}

// release frees what the record holds of its gate.
func (q *Queue) release(n *nearRecord) {
	if g := n.from; g != nil {
		n.from = nil
		g.called--
		q.tidy(g)
	}
	if g := n.in; g != nil {
		n.in = nil
		q.leave(g)
	}
}
