package main

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"
	"time"

	"belfry/api/client"
	"belfry/internal/job"
)

// raced is a request that came around its job's due time, and its answer.
type raced struct {
	plannedJob
	answer answer

	// unsure: an earlier answer was 503, so that the request may have been
	// applied before, and this answer be about what followed from it.
	unsure bool
}

// race creates jobs and sends one request for each around its due time, from
// 30 ms before to 30 ms after. So many clients do so, one job at a time each,
// that a slow machine does less rather than later. send reports how often it
// sent the request again.
func race(t *testing.T, p *running, n int, send func(plannedJob) (answer, int, error)) []raced {
	t.Helper()
	const (
		clients = 100
		ahead   = 250 * time.Millisecond
		around  = 30 * time.Millisecond
	)
	all := make([]raced, n)
	errorf := few(t)
	inParallel(n, clients, func(i int) {
		j := plannedJobs(1, time.Now().Add(ahead), 0)[0]
		j.id = strconv.Itoa(i)
		if a, _, err := p.insist(http.MethodPost, "/job/db/coll", j.body("r")); err != nil || !a.ok() {
			errorf("POST of job %s: %v (%v), want 200", j.id, a, err)
		}
		time.Sleep(time.Until(j.due.Add(rand.N(2*around) - around))) // some before it fires, some after
		a, repeats, err := send(j)
		if err != nil || !a.ok() && !a.tooLate() {
			errorf("job %s: %v (%v), want 200, or 400 with E103 or E104", j.id, a, err)
		}
		all[i] = raced{j, a, repeats > 0}
	})
	won, unsure := 0, 0
	for _, r := range all {
		if r.answer.ok() {
			won++
		}
		if r.unsure {
			unsure++
		}
	}
	t.Logf("%d of %d requests were in time, %d too late; %d of them were sent again", won, n, n-won, unsure)
	return all
}

// finish waits until every job is over, with the wanted status.
func (p *running) finish(t *testing.T, all []raced, want func(raced) job.Status) {
	t.Helper()
	errorf := few(t)
	inParallel(len(all), 32, func(i int) {
		deadline := time.Now().Add(patience) // for each, as many take their time
		var a answer
		var r client.Job
		var err error
		for ; !job.Status(r.Status).Final() && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if a, err = p.do(http.MethodGet, "/job/db/coll/"+all[i].id, ""); err == nil {
				err = json.Unmarshal([]byte(a.body), &r)
			}
		}
		if r.Status != client.Status(want(all[i])) {
			errorf("job %s, answered %v: GET says %v (%v), want status %q", all[i].id, all[i].answer, a, err, want(all[i]))
		}
	})
}

// A DELETE at the due moment is either in time, and the job never arrives, or too late,
// and it does.
func TestCancelRacesFire(t *testing.T) {
	t.Parallel()
	p := startProgram(t, t.TempDir())
	in := newReceiver(t, nil)
	in.route(t, p, "r")
	all := race(t, p, 1000, func(j plannedJob) (answer, int, error) {
		return p.insist(http.MethodDelete, "/job/db/coll/"+j.id, "")
	})

	// Once every job is over and nothing is left in the inbox, nothing comes.
	p.finish(t, all, func(r raced) job.Status {
		if r.answer.ok() {
			return job.Cancelled
		}
		return job.Delivered
	})
	settled(t, p.jetStream(t), "db_r")
	got, errorf := in.jobs(), few(t)
	for _, r := range all {
		want := 1
		if r.answer.ok() {
			want = 0
		}
		if len(got[r.id]) != want {
			errorf("job %s, whose DELETE was answered %v, arrived %d times, want %d", r.id, r.answer, len(got[r.id]), want)
		}
	}
}

// A PUT to a later time is either in time, and the job arrives only then and
// with its new meta, or too late, and it arrives as it was.
func TestRescheduleLeavesNoGhost(t *testing.T) {
	t.Parallel()
	p := startProgram(t, t.TempDir())
	in := newReceiver(t, nil)
	in.route(t, p, "r")
	later := func(j plannedJob) plannedJob {
		return plannedJob{id: j.id, due: j.due.Add(2 * time.Second), meta: `{"later":true}`}
	}
	all := race(t, p, 1000, func(j plannedJob) (answer, int, error) {
		return p.insist(http.MethodPut, "/job/db/coll/"+j.id, later(j).body("r"))
	})

	in.waitFor(t, len(all))
	p.finish(t, all, func(raced) job.Status { return job.Delivered })
	settled(t, p.jetStream(t), "db_r")
	got, errorf := in.jobs(), few(t)
	for _, r := range all {
		want := r.plannedJob
		if r.answer.ok() {
			want = later(r.plannedJob)
		}
		posts := got[r.id]
		if r.unsure && len(posts) == 1 && posts[0].meta == later(r.plannedJob).meta {
			want = later(r.plannedJob)
		}
		if len(posts) != 1 || posts[0].meta != want.meta || posts[0].at.Before(want.due) {
			errorf("job %s, whose PUT was answered %v, arrived %d times: %v; want once with %s at or after %v",
				r.id, r.answer, len(posts), posts, want.meta, want.due)
		}
	}
}
