package main

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlanFollowsFromItsSeed(t *testing.T) {
	t.Parallel()
	all := cmp.AllowUnexported(plan{}, story{}, step{}, fault{})
	for _, s := range settings() {
		one, again, other := newPlan(1, s, s.duration), newPlan(1, s, s.duration), newPlan(2, s, s.duration)
		if !reflect.DeepEqual(one, again) { // cmp takes seconds for a plan
			t.Errorf("%s: two plans of one seed differ:\n%s", s.name, cmp.Diff(one, again, all))
		}
		if reflect.DeepEqual(one, other) {
			t.Errorf("%s: the plans of two seeds are the same", s.name)
		}
	}
}

// A plan has everything that a run needs, and ends in time.
func TestPlan(t *testing.T) {
	t.Parallel()
	for _, s := range settings() {
		kinds, ops := map[faultKind]int{}, map[op]int{}
		for seed := range uint64(500) {
			faults := newFaults(rand.New(rand.NewPCG(seed, 0)), s, s.duration)
			for i, f := range faults {
				kinds[f.kind]++
				if w := f.within; w != nil {
					kinds[f.name()]++
					if !f.kind.gates() || w.kind.gates() || w.within != nil || w.at < f.at || w.at+w.lasts > f.at+f.lasts {
						t.Errorf("%s, seed %d: %+v within %+v", s.name, seed, *w, f)
					}
				}
				if f.at >= s.duration || i > 0 && f.at < faults[i-1].at+faults[i-1].lasts {
					t.Errorf("%s, seed %d: fault %+v comes after the end, or within the one before", s.name, seed, f)
				}
			}
		}
		for seed := range uint64(20) {
			p := newPlan(seed, s, s.duration)
			for _, story := range p.stories {
				for i, step := range story.steps {
					ops[step.op]++
					if (step.op == opCreate) != (i == 0) || step.due > s.duration {
						t.Errorf("%s, seed %d, job %s: step %d is %+v; want the create first, and all due within %v", s.name, seed, story.id, i, step, s.duration)
					}
				}
				if story.refuse && (len(story.steps) > 1 || story.route != routeREST) {
					t.Errorf("%s, seed %d, job %s: it is refused and changed; the checker cannot tell then", s.name, seed, story.id)
				}
			}
		}
		for _, k := range s.kinds {
			if kinds[k] == 0 {
				t.Errorf("%s: no %q in so many plans", s.name, k)
			}
			for _, gate := range []faultKind{pauseRoutes, failHook} {
				if both := (fault{kind: gate, within: &fault{kind: k}}).name(); !k.gates() && kinds[both] == 0 {
					t.Errorf("%s: no %q in so many plans", s.name, both)
				}
			}
		}
		for _, o := range []op{opCreate, opChange, opCancel} {
			if ops[o] == 0 {
				t.Errorf("%s: no %s in so many plans", s.name, o)
			}
		}
	}
}
