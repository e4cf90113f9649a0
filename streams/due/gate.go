package due

import (
	"math"
	"time"

	"github.com/tidwall/btree"

	"belfry/internal/job"
)

// GateLimit is how many fires of one REST route may be out. The other jobs stay
// scheduled, where they can be cancelled and do not grow old.
const GateLimit = 1000

// Unlimited is the GateState.Out of a route without a gate.
const Unlimited = math.MaxInt

// GateState says how far the gate of a route is open now.
type GateState struct {
	Out int // how many fires may be out

	// PerSecond is how many fires may begin per second, each with a permit; 0 means any
	// number, without permits.
	PerSecond float64

	// Ahead is how far in the future a permit can be; 0 is no limit.
	Ahead time.Duration

	// Held says that the route is paused, or its endpoint down: its jobs wait on purpose.
	Held bool

	// Again is when the gate opens further by itself, if that is known.
	Again time.Time
}

// gate counts the fires of one route that are out and keeps the records that wait.
type gate struct {
	route   job.RouteKey
	out     int // claimed, or about to be
	called  int // called up from waiting, not yet claimed
	waiting *btree.BTreeG[job.Position]

	permits []time.Time // each lets one fire begin at that time; in order
	asking  bool        // more permits were requested
}

// admit lets a due record through its route's gate, or parks it there. It parks the
// record if the gate is shut, or if it is not the record's turn: others wait there
// already, or were called up and are being loaded.
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

// spend uses up a permit, if the route needs permits.
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

// forget drops the permits that were not used in time, because the gate was shut or full.
// If they were used later, they would come on top of the permits for that time. Permits
// of records that were called up stay, however long the load takes. forget also drops
// permits that are too far ahead: the clock was set back since.
func (g *gate) forget(open GateState, now time.Time) {
	for n := len(g.permits); open.Ahead > 0 && n > 0 && g.permits[n-1].Sub(now) > open.Ahead; n-- {
		g.permits = g.permits[:n-1]
	}
	for free := g.ripe(now) - g.called; free > 0 && g.permits[0].Add(permitsAhead).Before(now); free-- {
		g.permits = g.permits[1:]
	}
}

// ripe counts the permits that may be used now.
func (g *gate) ripe(now time.Time) int {
	n := 0
	for n < len(g.permits) && !g.permits[n].After(now) {
		n++
	}
	return n
}

// mayCall returns how many of the waiting records may be called up.
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

// tidy removes a gate without waiting records from the queues, and drops it if it is
// empty.
func (q *Queue) tidy(g *gate) {
	if g.waiting.Len() > 0 {
		return
	}
	delete(q.queues, g)
	if g.out == 0 && g.called == 0 {
		delete(q.gates, g.route)
	}
}

// release gives up the record's place at its gate.
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
