package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// A route whose endpoint hangs does not delay another route. Rounds with and without it
// alternate, and the medians are compared: other work on the machine, such as a disk's
// sync, spoils some rounds.
func TestHangingEndpointDelaysNoOtherRoute(t *testing.T) {
	besideOthers(t)
	plays(t)
	rounds, stuck, jobs, span := 1, 300, 400, 2*time.Second
	if *full {
		rounds, stuck, jobs, span = 5, 1000, 6400, 32*time.Second
	}
	p := startProgram(t, t.TempDir())
	var round atomic.Pointer[context.Context] // ends with the round
	begin := func() (end func()) {
		ctx, end := context.WithCancel(t.Context())
		round.Store(&ctx)
		return end
	}
	hanging := newReceiver(t, func(*http.Request, post) int {
		select {
		case <-(*round.Load()).Done():
		case <-time.After(30 * time.Second):
		}
		return http.StatusOK
	})
	healthy := newReceiver(t, nil)
	hanging.gated(t, p, "hanging", `"timeout_ms":60000`)
	healthy.route(t, p, "healthy")

	arrive := func(in *receiver, all []plannedJob) {
		in.waitEach(t, all, func(posts []*post) bool { return some(posts) && !posts[0].answered.IsZero() })
	}
	// measure sends jobs to the healthy route alone.
	measure := func(name string) time.Duration {
		all := plannedJobs(jobs, time.Now().Add(2*time.Second), span)
		for i := range all {
			all[i].id = name + "-" + all[i].id
		}
		p.createBulk(t, all, "healthy")
		arrive(healthy, all)
		late := lateness(t, all, healthy.jobs())
		t.Logf("%s: p50 %v, p99 %v", name, late[len(late)/2].Round(10*time.Microsecond), p99(late).Round(10*time.Microsecond))
		return p99(late)
	}
	var without, with []time.Duration // the p99 of each round
	for i := range rounds {
		without = append(without, measure(fmt.Sprint("without-", i)))

		end := begin()
		all := plannedJobs(stuck, time.Now(), time.Second)
		for n := range all {
			all[n].id = fmt.Sprintf("stuck-%d-%s", i, all[n].id)
		}
		p.createBulk(t, all, "hanging")
		hanging.wait(t, func() string {
			if len(hanging.posts) < i*stuck+triesPerRoute {
				return "the hanging route is not full yet"
			}
			return ""
		})
		with = append(with, measure(fmt.Sprint("with-", i)))
		if n := len(hanging.jobs()) - i*stuck; n == stuck {
			t.Errorf("all %d jobs of the hanging route have arrived meanwhile, want some to wait", n)
		}
		end()
		arrive(hanging, all)
	}

	slices.Sort(without)
	slices.Sort(with)
	usual, beside := without[rounds/2], with[rounds/2]
	t.Logf("lateness p99 of the healthy route in the median round: %v without a hanging one, %v with it",
		usual.Round(10*time.Microsecond), beside.Round(10*time.Microsecond))
	limit := max(10*usual, 10*time.Second) // of the 30 s that the endpoint hangs
	if *full {
		limit = usual * 6 / 5
	}
	if beside > limit {
		t.Errorf("p99 with a hanging route is %v, want at most %v", beside, limit)
	}
}
