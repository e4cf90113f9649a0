package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// plan is everything that a run does, made from its seed alone. Times count from the
// start of the workload.
type plan struct {
	stories []story
	faults  []fault
}

// fault is one failure. It begins not before at, and lasts for a given time.
type fault struct {
	at    time.Duration
	kind  faultKind
	which int // the node or server, from 0
	lasts time.Duration

	// within is a fault that happens while the routes are paused, or the breaker is
	// open; it is over before this one is. Nil is none.
	within *fault
}

// name tells the fault from others in reports.
func (f fault) name() faultKind {
	if f.within != nil {
		return f.kind + ", " + f.within.kind + " meanwhile"
	}
	return f.kind
}

// number is the number of the node or server, from 1. Faults of the routes and the
// webhook have none.
func (f fault) number() int {
	if f.within != nil {
		return f.within.number()
	}
	return f.which + 1
}

// gates reports whether the fault may put fires of the REST route back.
func (k faultKind) gates() bool { return k == pauseRoutes || k == failHook }

// faultKind says what goes wrong.
type faultKind string

// The kinds of faults.
const (
	killNode    faultKind = "kill belfry"         // SIGKILL, started again later
	pauseNode   faultKind = "pause belfry"        // SIGSTOP for longer than a lease
	cutNode     faultKind = "cut off belfry"      // its connections to NATS break
	stallNode   faultKind = "stall belfry"        // its connections to NATS go silent, and later carry on
	killServer  faultKind = "kill nats-server"    // SIGKILL, started again later
	pauseServer faultKind = "pause nats-server"   // SIGSTOP for longer than an election
	cutServer   faultKind = "cut off nats-server" // its connections to the other servers break

	// Packets from and to the server are dropped, and nothing is closed.
	silenceServer faultKind = "silence nats-server"

	pauseRoutes faultKind = "pause routes" // both routes, by request
	failHook    faultKind = "fail webhook" // the receiver answers 503, so that the breaker trips

	fillDisk faultKind = "fill disk" // the disk of an embedded server, or of a nats-server

	removeConsumers faultKind = "remove consumers" // the consumers of both routes, by hand
	purgeFires      faultKind = "purge fires"      // the fires of the REST route, by hand
	editStreams     faultKind = "edit streams"     // settings of the streams, by hand
)

// setting is where the workload runs.
type setting struct {
	name     string
	nodes    int
	servers  int
	kinds    []faultKind
	pause    span // between two faults
	settle   time.Duration
	duration time.Duration
}

// span is a range of durations.
type span struct{ from, to time.Duration }

func settings() []setting {
	return []setting{
		{
			name: "embedded", nodes: 1,
			kinds: []faultKind{killNode, killNode, pauseNode, pauseRoutes, failHook, fillDisk, removeConsumers, purgeFires, editStreams},
			pause: span{2 * time.Second, 5 * time.Second}, settle: 2 * time.Second,
			duration: time.Minute,
		},
		{
			name: "cluster", nodes: 2, servers: 3,
			kinds: []faultKind{killNode, pauseNode, cutNode, stallNode, killServer, pauseServer, cutServer, silenceServer, pauseRoutes, failHook, fillDisk, removeConsumers, purgeFires, editStreams},
			pause: span{4 * time.Second, 8 * time.Second}, settle: 10 * time.Second,
			duration: 90 * time.Second,
		},
	}
}

// without is the setting without one kind of faults.
func (s setting) without(kind faultKind) setting {
	s.kinds = slices.DeleteFunc(slices.Clone(s.kinds), func(k faultKind) bool { return k == kind })
	return s
}

const storiesPerSecond = 60

// newPlan spreads the stories over the duration, and the faults one after the other.
// Nothing is due, and no fault begins, after its end.
func newPlan(seed uint64, s setting, duration time.Duration) plan {
	r := rand.New(rand.NewPCG(seed, 0))
	p := plan{faults: newFaults(r, s, duration)}
	moments := slices.DeleteFunc(begins(p.faults), func(at time.Duration) bool { return at > duration })
	for i := range int(storiesPerSecond * duration.Seconds()) {
		p.stories = append(p.stories, newStory(r, fmt.Sprintf("%d", i), duration, moments))
	}
	slices.SortFunc(p.stories, func(a, b story) int { return int(a.steps[0].at - b.steps[0].at) })
	return p
}

// newFaults takes the kinds in rounds, so that a run has a bit of everything.
func newFaults(r *rand.Rand, s setting, duration time.Duration) []fault {
	var all []fault
	var kinds []faultKind
	at := in(r, span{time.Second, 3 * time.Second})
	for at < duration {
		if len(kinds) == 0 {
			kinds = slices.Clone(s.kinds)
			r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
		}
		f := newFault(r, s, kinds[0], at)
		kinds = kinds[1:]
		if f.kind.gates() && r.IntN(3) > 0 {
			breaks := slices.DeleteFunc(slices.Clone(s.kinds), faultKind.gates)
			within := newFault(r, s, breaks[r.IntN(len(breaks))], at+in(r, span{time.Second, 3 * time.Second}))
			f.within = &within
			f.lasts = max(f.lasts, within.at+within.lasts-at+in(r, span{0, 2 * time.Second}))
		}
		all = append(all, f)
		at += f.lasts + in(r, s.pause)
	}
	return all
}

func newFault(r *rand.Rand, s setting, kind faultKind, at time.Duration) fault {
	f := fault{at: at, kind: kind, which: r.IntN(s.nodes)}
	switch {
	case kind == killServer, kind == pauseServer, kind == cutServer, kind == silenceServer, kind == fillDisk && s.servers > 0:
		f.which = r.IntN(s.servers)
	}
	switch kind {
	case killNode:
		f.lasts = in(r, span{0, 3 * time.Second})
	case killServer, cutServer:
		f.lasts = in(r, span{time.Second, 6 * time.Second})
	case pauseRoutes:
		f.lasts = in(r, span{time.Second, 4 * time.Second})
	case removeConsumers, purgeFires, editStreams: // at once, apart from waiting for the effect
		f.lasts = in(r, span{time.Second, 2 * time.Second})
	case pauseServer:
		f.lasts = in(r, span{4 * time.Second, 10 * time.Second})
	case fillDisk: // longer than it takes to notice, or shorter
		f.lasts = in(r, span{2 * time.Second, 12 * time.Second})
	case silenceServer: // longer than it takes to notice silence
		f.lasts = in(r, span{7 * time.Second, 12 * time.Second})
	default: // longer than the lease of 3 s
		f.lasts = in(r, span{4 * time.Second, 6 * time.Second})
	}
	return f
}

// begins returns when each fault begins, with the faults within others.
func begins(faults []fault) []time.Duration {
	var all []time.Duration
	for _, f := range faults {
		all = append(all, f.at)
		if f.within != nil {
			all = append(all, f.within.at)
		}
	}
	return all
}

// in draws a duration from a span.
func in(r *rand.Rand, s span) time.Duration {
	if s.to <= s.from {
		return s.from
	}
	return s.from + time.Duration(r.Int64N(int64(s.to-s.from)))
}
