package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
)

// A route has at most this many tries under way, and this many more whose results are
// being stored.
const (
	triesPerRoute   = 64
	storingPerRoute = 3 * triesPerRoute
)

// A belfry is killed in the middle of firing 10,000 jobs, and started again.
//
// The repeats that a receiver may see are of POSTs that were in flight at the
// kill as Belfry sees it: made, their result not yet stored. The bound is exact
// rather than a guess at how long storing takes: the result of a POST that was
// repeated must have been stored by the second process, so after the first had
// ended.
func TestKillWithTenThousandDue(t *testing.T) {
	t.Parallel()
	plays(t)
	const n = 10_000
	data := t.TempDir()
	var arrived atomic.Int64
	created := make(chan struct{})
	in := newReceiver(t, func(*http.Request, post) int {
		time.Sleep(5 * time.Millisecond) // so that some are always in flight
		if arrived.Add(1) > n/2 {
			<-created // on a slow machine the middle comes before the end of creating
		}
		return http.StatusOK
	})
	first := startProgram(t, data)
	in.route(t, first, "r")
	jobs := plannedJobs(n, time.Now().Add(4*time.Second), 5*time.Second)
	first.createBulk(t, jobs, "r")
	close(created)

	in.waitFor(t, n/2)
	first.kill(t)
	ended := time.Now()
	before := in.jobs()
	second := startProgram(t, data)
	js := second.jetStream(t)
	in.waitFor(t, n)
	settled(t, js, "db_r")

	finals := records(t, js)
	errorf := few(t)
	repeats, unanswered := 0, 0
	got := in.jobs()
	lateness(t, jobs, got)
	for _, j := range jobs {
		posts := got[j.id]
		for _, p := range posts {
			if p.fire != posts[0].fire {
				errorf("job %s arrived as %s and as %s, want one webhook-id", j.id, posts[0].fire, p.fire)
			}
			if p.meta != j.meta {
				errorf("job %s arrived with %s, want %s", j.id, p.meta, j.meta)
			}
		}
		if final := finals[j.id]; final.status != job.Delivered {
			errorf("job %s is %q at the end, want %q", j.id, final.status, job.Delivered)
		}
		if len(posts) < 2 {
			continue
		}
		repeats++
		if p := posts[0]; p.answered.IsZero() || p.answered.After(ended) {
			unanswered++
		}
		switch final := finals[j.id]; {
		case len(posts) > 2:
			errorf("job %s arrived %d times, want once, or twice if in flight at the kill", j.id, len(posts))
		case len(before[j.id]) == 0:
			errorf("job %s arrived twice, neither before the kill", j.id)
		case final.at.Before(ended):
			errorf("job %s arrived again though its result was stored %v before the end of the first process", j.id, ended.Sub(final.at))
		}
	}
	if most := triesPerRoute + storingPerRoute; repeats > most {
		t.Errorf("%d jobs arrived twice, want at most the %d whose tries were under way, or their results not stored", repeats, most)
	}
	if len(before) >= n {
		t.Errorf("all %d jobs had arrived before the kill, want some left", n)
	}
	checkFires(t, js, jobs)
	t.Logf("killed after %d of %d jobs; %d repeats, %d of them not answered at the kill", len(before), n, repeats, unanswered)
}

// checkFires checks that each claim, and each try of each job, is in FIRES once. On a
// busy machine a try may time out, which makes for another.
func checkFires(t *testing.T, js jetstream.JetStream, jobs []plannedJob) {
	t.Helper()
	errorf := few(t)
	claims, fires, tries := map[string]int{}, map[string]int{}, map[string]int{}
	for _, m := range messages(t, js, "FIRES", "fires.>") {
		claims[m.header.Get("Belfry-Claim")]++
		fires[m.header.Get(job.HeaderJobID)]++
		tries[m.header.Get(job.HeaderJobID)+" try "+m.header.Get(job.HeaderAttempt)]++
	}
	for claim, times := range claims {
		if times != 1 {
			errorf("claim %s is in FIRES %d times, want once", claim, times)
		}
	}
	for try, times := range tries {
		if times != 1 {
			errorf("job %s is in FIRES %d times, want once", try, times)
		}
	}
	for _, j := range jobs {
		if fires[j.id] == 0 {
			errorf("job %s is not in FIRES", j.id)
		}
	}
	if len(fires) != len(jobs) {
		t.Errorf("%d jobs are in FIRES, want %d", len(fires), len(jobs))
	}
}

// storedRecord is what the tests read of a record in the jobs bucket.
type storedRecord struct {
	status job.Status
	at     time.Time // when it was stored
}

// records returns the jobs as they are stored, by id.
func records(t *testing.T, js jetstream.JetStream) map[string]storedRecord {
	t.Helper()
	byID := map[string]storedRecord{}
	for _, m := range messages(t, js, "KV_jobs_0", "$KV.jobs_0.*.*.*") {
		id := m.subject[strings.LastIndexByte(m.subject, '.')+1:]
		byID[id] = storedRecord{job.Status(m.header.Get("Belfry-Status")), m.at}
	}
	return byID
}

// A belfry is killed while clients create jobs. Every job that it answered with 200 is
// there when it is back, and every job that it did not answer can be created again.
func TestKillWhileCreating(t *testing.T) {
	t.Parallel()
	plays(t)
	const enough = 1500
	data := t.TempDir()
	first := startProgram(t, data)
	first.must(t, http.MethodPost, "/route/db", `{"id":"r","type":"NATS"}`)
	jobs := plannedJobs(20*enough, time.Now().Add(time.Hour), time.Hour)

	var mu sync.Mutex
	var stored, unanswered []plannedJob
	kill := make(chan struct{})
	errorf := few(t)
	var next atomic.Int64
	var clients sync.WaitGroup
	for range 32 {
		clients.Go(func() { // until it gets no answer
			for i := next.Add(1); i < int64(len(jobs)); i = next.Add(1) {
				a, err := first.do(http.MethodPost, "/job/db/coll", jobs[i].body("r"))
				mu.Lock()
				switch {
				case err != nil || a.status == http.StatusServiceUnavailable:
					unanswered = append(unanswered, jobs[i])
				case !a.ok():
					errorf("POST of job %d: %v, want 200", i, a)
				default:
					stored = append(stored, jobs[i])
					if len(stored) == enough {
						close(kill)
					}
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { clients.Wait(); close(done) }()
	select {
	case <-kill:
	case <-done:
		t.Fatalf("%d jobs were created, want %d", len(stored), enough)
	}
	first.kill(t)
	<-done

	second := startProgram(t, data)
	inParallel(len(stored), 32, func(i int) {
		j := stored[i]
		want := fmt.Sprintf(`{"id":%q,"trigger_time":%d,"meta":%s,"route":"r","db":"db","collection":"coll","status":"scheduled","attempt":0}`,
			j.id, j.due.UnixMilli(), j.meta)
		if a, _, err := second.insist(http.MethodGet, "/job/db/coll/"+j.id, ""); err != nil || a.body != want {
			errorf("GET of job %s, whose POST was answered 200 before the kill: %v (%v), want %s", j.id, a, err, want)
		}
	})
	for _, j := range append(unanswered, stored[:10]...) {
		if a, _, err := second.insist(http.MethodPost, "/job/db/coll", j.body("r")); err != nil || !a.ok() {
			errorf("POST of job %s once more: %v (%v), want 200", j.id, a, err)
		}
	}
	t.Logf("%d creations were answered before the kill, %d were not", len(stored), len(unanswered))
}
