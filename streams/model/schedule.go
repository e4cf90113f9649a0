package model

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// world is one schedule: the store, the network, the processes, a clock, and a random
// source that decides everything.
type world struct {
	rules rules
	rng   *rand.Rand
	keys  int // jobs
	clock int64
	steps int
	calm  bool // no faults from now on
	ids   int

	gates, gatesBefore gates // now, and before the last change
	purges             int   // how often fires were removed from FIRES

	jobs  jobs
	fires fires
	net   []*call

	all     []*process // the owners, the workers, and the clients
	owners  []*process
	workers []*process
	moved   *process // the owner or worker that moved last

	handouts []*handout
	posts    []*post
	dead     map[string]bool // fire ids in DEAD
	answers  []answer

	tally   tally
	tracing bool
	trace   []string
}

func newWorld(seed uint64, rules rules) *world {
	w := &world{rules: rules, rng: rand.New(rand.NewPCG(seed, 2)), dead: map[string]bool{}}
	w.keys = 2 + w.rng.IntN(maxKeys-1)
	for i := range 4 + 2 + w.rng.IntN(2) {
		p := &process{w: w, server: i < 4}
		switch {
		case i < 2:
			p.name, p.main = "owner"+strconv.Itoa(i), ownerMain
		case i < 4:
			p.name, p.main = "worker"+strconv.Itoa(i-2), workerMain
		default:
			p.name, p.main = "client"+strconv.Itoa(i-4), clientMain
		}
		p.boot()
		w.all = append(w.all, p)
	}
	w.owners, w.workers = w.all[:2], w.all[2:4]
	w.owners[0].lapsed = true
	return w
}

// run plays the schedule: turmoil, then calm until nothing is left to do. It
// reports whether the world came to rest.
func (w *world) run() bool {
	defer func() {
		for _, p := range w.all {
			p.end()
		}
	}()
	for range 60 + w.rng.IntN(100) {
		w.turmoil()
	}
	w.settleDown()
	for range 3000 {
		w.steps++
		if n := len(w.net); n > 0 && w.rng.IntN(4) == 0 {
			w.arrive()
		} else if !w.moveOne() && n == 0 && !w.skipAhead() {
			return true
		}
	}
	return false
}

// turmoil plays one step with faults.
func (w *world) turmoil() {
	w.steps++
	// Half of the faults hit the process that moved last, which is therefore busy.
	p := w.moved
	if p == nil || w.rng.IntN(2) == 0 {
		p = w.all[w.rng.IntN(4)]
	}
	switch n := w.rng.IntN(427); {
	case n < 304:
		w.moveOne()
	case n < 350:
		if len(w.net) > 0 {
			w.arrive()
		}
	case n < 370:
		w.clock += 1 + w.rng.Int64N(3)
	case n < 378:
		if p.alive() {
			w.crash(p)
		}
	case n < 388:
		if !p.alive() {
			p.boot()
		}
	case n < 394:
		p.asleep = w.steps + 10 + w.rng.IntN(60)
		w.tally[pauses]++
	case n < 398:
		w.owners[w.rng.IntN(2)].lapsed = true
	case n < 400:
		w.passDays()
	case n < 424:
		w.turnGate()
	default:
		w.purge()
	}
}

// purge is an operator's purge of FIRES, in part or as a whole. The consumer does not
// redeliver a fire that is gone; a worker that has it goes on.
func (w *world) purge() {
	gone := w.fires.purge(w.rng, 1+w.rng.IntN(2))
	if len(gone) == 0 {
		return
	}
	w.purges++
	w.tally[purges]++
	w.note("purge: %d fires", len(gone))
	for _, h := range w.handouts {
		if gone[h.fire.Seq] {
			h.gone = true
		}
	}
}

// moveOne gives a turn to one of the processes that can move, each with the same chance.
func (w *world) moveOne() bool {
	var can [8]*process
	n := 0
	for _, p := range w.all {
		if p.canMove() {
			can[n] = p
			n++
		}
	}
	if n == 0 {
		return false
	}
	p := can[w.rng.IntN(n)]
	p.move()
	if p.server {
		w.moved = p
	}
	return true
}

func (w *world) crash(p *process) {
	w.note("%s: crashes", p.name)
	w.tally[crashes]++
	p.end()
	w.release(p)
}

// passDays lets enough time pass that every claim counts as lost. A live worker does not
// hold a fire for that long.
func (w *world) passDays() {
	for _, h := range w.handouts {
		if h.holder != nil {
			return
		}
	}
	w.clock += patience
	w.tally[days]++
	w.note("days pass: %d", w.clock)
}

// settleDown ends the faults: sleeping processes wake up, at least one of each kind runs,
// and the gates open. Requests still in the network may yet arrive.
func (w *world) settleDown() {
	w.calm = true
	w.gates = gates{}
	w.note("calm")
	for _, p := range w.all {
		p.asleep = 0
	}
	for _, pair := range [...][]*process{w.owners, w.workers} {
		first := w.rng.IntN(2)
		if !pair[0].alive() && !pair[1].alive() {
			pair[first].boot()
		}
		if other := pair[1-first]; !other.alive() && w.rng.IntN(2) == 0 {
			other.boot()
		}
	}
}

// skipAhead advances the clock to when the next waiting job is due. It does not wait for
// claims to count as lost: in calm nothing may depend on that.
func (w *world) skipAhead() bool {
	next := int64(-1)
	for key := range w.keys {
		r := w.jobs.get(key)
		if r.Status.Waiting() && r.Due > w.clock && (next < 0 || r.Due < next) {
			next = r.Due
		}
	}
	if next < 0 {
		return false
	}
	w.clock = next
	return true
}

// owned reports whether a process takes itself for the owner of the partition.
func (w *world) owned() bool { return w.owners[0].owning || w.owners[1].owning }

func (w *world) newID(kind string) string {
	w.ids++
	return kind + strconv.Itoa(w.ids)
}

// note adds a line to the trace, if the schedule is played for its trace.
func (w *world) note(format string, args ...any) {
	if w.tracing {
		w.trace = append(w.trace, fmt.Sprintf("%4d t=%-3d ", w.steps, w.clock)+fmt.Sprintf(format, args...))
	}
}
