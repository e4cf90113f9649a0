package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// A route whose endpoint hangs does not delay another route.
func TestHangingEndpointDelaysNoOtherRoute(t *testing.T) {
	p := startProgram(t, t.TempDir())
	over := make(chan struct{})
	hanging := newReceiver(t, func(*http.Request, post) int {
		<-over
		return http.StatusOK
	})
	t.Cleanup(func() { close(over) }) // before the receiver waits for its requests
	healthy := newReceiver(t, nil)
	hanging.route(t, p, "hanging")
	healthy.route(t, p, "healthy")

	// measure sends jobs to the healthy route alone.
	measure := func(name string) time.Duration {
		jobs := timers(400, time.Now().Add(2*time.Second), 2*time.Second)
		for i := range jobs {
			jobs[i].id = name + "-" + jobs[i].id
		}
		p.create(t, jobs, "healthy")
		healthy.wait(t, func() string {
			for _, j := range jobs {
				if len(healthy.byJob[j.id]) == 0 {
					return "job " + j.id + " has not arrived at the healthy route"
				}
			}
			return ""
		})
		return p99(lateness(t, jobs, healthy.jobs()))
	}

	without := measure("without")
	stuck := timers(300, time.Now(), time.Second)
	for i := range stuck {
		stuck[i].id = "stuck-" + stuck[i].id
	}
	p.create(t, stuck, "hanging")
	hanging.wait(t, func() string {
		if len(hanging.posts) < triesPerRoute {
			return "the hanging route is not full yet"
		}
		return ""
	})
	with := measure("with")

	for id, posts := range hanging.jobs() {
		if !strings.HasPrefix(id, "stuck-") || !posts[0].answered.IsZero() {
			t.Errorf("job %s has been answered by the hanging route, want it to hang", id)
		}
	}
	t.Logf("lateness p99 of the healthy route: %v without a hanging one, %v with it",
		without.Round(10*time.Microsecond), with.Round(10*time.Microsecond))
	if limit := max(10*without, time.Second); with > limit {
		t.Errorf("p99 with a hanging route is %v, want at most %v", with, limit)
	}
}
