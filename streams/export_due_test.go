package streams

import (
	"time"

	"belfry/internal/job"
	"belfry/internal/metrics"
	"belfry/internal/room"
)

// Agenda is the agenda for tests outside the package.
type Agenda struct{ a *agenda }

// NewAgenda makes one in which the gates of the gated routes have the usual limit.
func NewAgenda(gated func(job.RouteKey) bool) Agenda {
	return NewAgendaWith(func(k job.RouteKey) Opening {
		if gated(k) {
			return Opening{Out: gateLimit}
		}
		return Opening{Out: unlimited}
	})
}

// Opening is how far a gate is open.
type Opening struct {
	Out       int
	PerSecond float64
	Held      bool
	Again     time.Time
}

func NewAgendaWith(openings func(job.RouteKey) Opening) Agenda {
	return Agenda{newAgenda(func(k job.RouteKey) opening {
		o := openings(k)
		return opening{out: o.Out, perSecond: o.PerSecond, held: o.Held, again: o.Again}
	}, func(job.RouteKey) {})}
}

func (a Agenda) NextOpening(now time.Time) time.Time { return a.a.nextOpening(now) }
func (a Agenda) Permitted(k job.RouteKey, now time.Time, permits ...time.Time) {
	a.a.permitted(k, permits, now)
}

// ToPermit returns for how many jobs of each route permits are to be asked for.
func (a Agenda) ToPermit(now time.Time) map[job.RouteKey]int {
	all := map[job.RouteKey]int{}
	for _, r := range a.a.toPermit(now) {
		all[r.route] = r.n
	}
	return all
}

func (a Agenda) Observe(r job.Record)                       { a.a.observe(r) }
func (a Agenda) ObserveUnknown(r job.Record)                { a.a.observeUnknown(r) }
func (a Agenda) ToLoad(now time.Time) []uint64              { return a.a.toLoad(now) }
func (a Agenda) Took(r job.Record, now time.Time)           { a.a.took(r, now) }
func (a Agenda) Gone(seq uint64)                            { a.a.gone(seq) }
func (a Agenda) Failed(seq uint64, again time.Time)         { a.a.failed(seq, again) }
func (a Agenda) ToFire(now time.Time, max int) []job.Record { return a.a.toFire(now, max) }
func (a Agenda) NextLoad() time.Time                        { return a.a.nextLoad() }
func (a Agenda) NextFire() time.Time                        { return a.a.nextFire() }
func (a Agenda) Counts(now time.Time) metrics.Counts        { return a.a.counts(now) }

func (a Agenda) Entries() int { return a.a.entries() }

// Out returns how many fires of a route are out, and how many of its records
// wait.
func (a Agenda) Out(k job.RouteKey) (out, waiting int) {
	g := a.a.gates[k]
	if g == nil {
		return 0, 0
	}
	return g.out, g.waiting.Len()
}

// Balanced reports the first counter that does not agree with what it counts.
func (a Agenda) Balanced() string {
	loading, loaded := 0, 0
	called, in := map[*gate]int{}, map[*gate]int{}
	for _, n := range a.a.near {
		if n.stage == isLoading {
			loading++
		} else {
			loaded += n.size
		}
		if n.from != nil {
			called[n.from]++
		}
		if n.in != nil {
			in[n.in]++
		}
	}
	for _, c := range a.a.firing {
		if c.gate != nil {
			in[c.gate]++
		}
	}
	switch {
	case loading != a.a.loading:
		return "loading"
	case loaded != a.a.loaded:
		return "loaded"
	}
	waiting := 0
	for _, g := range a.a.gates {
		waiting += g.waiting.Len()
		switch {
		case g.called != called[g]:
			return "called"
		case g.out != in[g]:
			return "out"
		}
	}
	if waiting != len(a.a.parked) {
		return "parked"
	}
	return ""
}

// Bound has the large records of the agenda take room.
func (a Agenda) Bound(pool *room.Pool) { a.a.bound(inFlight{pool, 1}) }

// ObserveLarge is Observe for a record with a value of so many bytes.
func (a Agenda) ObserveLarge(r job.Record, bytes int) {
	a.a.observe(r)
	a.a.weigh(r, bytes)
}

// Hungry reports whether records wait for room.
func (a Agenda) Hungry() bool { return a.a.hungry() }

// Ready counts the records that are loaded and wait for their time.
func (a Agenda) Ready() int { return a.a.loadedRecords() }
