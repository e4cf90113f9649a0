package streams

import (
	"github.com/tidwall/btree"

	"belfry/internal/job"
)

// gateLimit is how many fires of one REST route may be out. The others stay
// scheduled, where they can be cancelled and do not grow old.
const gateLimit = 1000

// gate counts the fires of one route that are out.
type gate struct {
	route   job.RouteKey
	out     int // claimed, or about to be
	called  int // called up from waiting, not yet claimed
	waiting *btree.BTreeG[job.Position]
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
