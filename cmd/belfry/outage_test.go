package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/natstest"
)

// Two jobs that are due in the same millisecond, on one route, both arrive.
func TestTwoJobsDueInTheSameMillisecond(t *testing.T) {
	t.Parallel()
	p := startProgram(t, t.TempDir())
	in := newReceiver(t, nil)
	in.route(t, p, "r")
	due := time.Now().Add(time.Second).Truncate(time.Millisecond)
	jobs := []plannedJob{{id: "one", due: due, meta: `1`}, {id: "two", due: due, meta: `2`}}
	p.create(t, jobs, "r")
	in.waitFor(t, len(jobs))
	for _, j := range jobs {
		p.becomes(t, "/job/db/coll/"+j.id, job.Delivered)
		if posts := in.jobs()[j.id]; len(posts) != 1 || posts[0].meta != j.meta || posts[0].at.Before(due) {
			t.Errorf("job %s, due at %v, arrived %d times: %v; want once, with %s", j.id, due, len(posts), posts, j.meta)
		}
	}
}

// Nobody was there for an hour. Then the jobs that came due meanwhile fire at once, but
// those that are too late for their route expire, and no route gets more than its rate.
// The test puts the jobs into the bucket by hand; otherwise it would have to wait.
func TestOutageOfAnHour(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	start := func() *running { return startServing(t, "--nats-url", ns.ClientURL(), "--partitions", "1") }
	p := start()
	limited, fresh := newReceiver(t, nil), newReceiver(t, nil)
	limited.gated(t, p, "limited", `"rate_limit":{"per_second":100,"burst":1}`)
	fresh.gated(t, p, "fresh", `"max_lateness_ms":1800000`)
	p.kill(t)

	ended := time.Now()
	js, err := jetstream.New(ns.Connect())
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "jobs_0")
	if err != nil {
		t.Fatal(err)
	}
	const rated, minutes = 200, 60
	put := func(route string, all []plannedJob) {
		for _, j := range all {
			if _, err := kv.PutString(t.Context(), "db."+route+"."+j.id, j.body(route)); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("limited", plannedJobs(rated, ended.Add(-time.Hour), time.Hour))
	// One each minute, half a minute from the one that is just too late.
	put("fresh", plannedJobs(minutes, ended.Add(-time.Hour+30*time.Second), time.Hour))

	back := time.Now()
	p = start()
	limited.waitFor(t, rated)
	for i := range minutes {
		id, want, posts := fmt.Sprint(i), job.Expired, 0
		if i >= minutes/2 {
			want, posts = job.Delivered, 1
		}
		p.becomes(t, "/job/db/fresh/"+id, want)
		if got := len(fresh.jobs()[id]); got != posts {
			t.Errorf("job %s, due %d minutes before the end of the outage, arrived %d times, want %d", id, minutes-i, got, posts)
		}
	}
	limited.mu.Lock()
	defer limited.mu.Unlock()
	for i, post := range limited.posts {
		if earliest := back.Add(time.Duration(i) * 10 * time.Millisecond); post.at.Before(earliest) {
			t.Fatalf("fire %d came %v too early for 100/s", i, earliest.Sub(post.at))
		}
	}
	if got := len(limited.posts); got != rated {
		t.Errorf("%d jobs made %d tries, want one each", rated, got)
	}
}

// A retry that came due while nobody was there is made by the next process, as
// the same fire.
func TestRetryDueInThePastAfterRestart(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := startProgram(t, data)
	in := newReceiver(t, func(_ *http.Request, p post) int {
		if p.header.Get(job.HeaderAttempt) == "1" {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	in.gated(t, p, "r", `"retry":{"schedule_ms":[1000]}`)
	p.create(t, []plannedJob{{id: "one", due: time.Now(), meta: `1`}}, "r")
	p.becomes(t, "/job/db/coll/one", job.Retrying)
	waiting := p.get(t, "/job/db/coll/one")
	if waiting.NextAttemptTime == 0 {
		t.Fatal("the retrying job shows no time of its next attempt")
	}
	p.kill(t)
	time.Sleep(time.Until(time.UnixMilli(waiting.NextAttemptTime + 500))) // it is to be past when belfry starts

	p = startProgram(t, data)
	if got := p.becomes(t, "/job/db/coll/one", job.Delivered); got.Attempt != 2 {
		t.Errorf("delivered on attempt %d, want 2", got.Attempt)
	}
	if posts := in.jobs()["one"]; len(posts) != 2 || posts[0].fire != posts[1].fire {
		t.Errorf("it arrived as %v, want twice with one webhook-id", posts)
	}
}
