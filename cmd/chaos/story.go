package main

import (
	"math/rand/v2"
	"time"
)

// story is the life of one job as its client wants it. Its steps follow each other: each
// is sent when the one before is answered and its own time has come.
type story struct {
	id    string
	route string // routeREST or routeNATS
	steps []step

	// refuse makes the receiver answer the first try with 503.
	refuse bool
	// impatient clients soon give up on an answer, and ask elsewhere.
	impatient bool
}

// step is one request. due is the trigger time that a create or change asks for.
type step struct {
	at  time.Duration
	op  op
	due time.Duration
}

type op string

const (
	opCreate op = "create"
	opChange op = "change"
	opCancel op = "cancel"
)

// The routes of the workload, named by their type.
const (
	routeREST = "rest"
	routeNATS = "nats"
)

// newStory makes a story of one to four steps. One job in three comes due at a moment
// when a fault begins, so that the fault catches it half done.
func newStory(r *rand.Rand, id string, duration time.Duration, moments []time.Duration) story {
	s := story{id: id, route: routeREST, impatient: r.IntN(2) == 0}
	if r.IntN(2) == 0 {
		s.route = routeNATS
	}
	at := in(r, span{0, duration - 2*time.Second})
	ahead := span{0, 5 * time.Second}
	switch r.IntN(10) {
	case 0: // due at once
		ahead = span{-time.Second, 0}
	case 1, 2:
		ahead = span{5 * time.Second, 15 * time.Second}
	}
	due := func() time.Duration { return min(at+in(r, ahead), duration) }
	if r.IntN(3) == 0 {
		begin := moments[r.IntN(len(moments))]
		at = max(0, begin-in(r, span{0, 3 * time.Second}))
		due = func() time.Duration {
			about := begin + in(r, span{-50 * time.Millisecond, 100 * time.Millisecond})
			return min(max(at, about), duration)
		}
	}
	last := step{at, opCreate, due()}
	s.steps = append(s.steps, last)
	// next is some time before the job is due; at times it is just then.
	next := func() time.Duration {
		if last.due <= last.at || r.IntN(4) == 0 {
			return last.due + in(r, span{-20 * time.Millisecond, 20 * time.Millisecond})
		}
		return in(r, span{last.at, last.due})
	}
	switch kind := r.IntN(8); {
	case kind < 4:
		s.refuse = s.route == routeREST && r.IntN(5) == 0
	default:
		for range kind % 3 {
			at = next()
			last = step{at, opChange, due()}
			s.steps = append(s.steps, last)
		}
		if kind < 6 {
			s.steps = append(s.steps, step{at: next(), op: opCancel})
		}
	}
	return s
}
