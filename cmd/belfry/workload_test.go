package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry/api/client"
)

// plannedJob is a job as the tests plan it.
type plannedJob struct {
	id   string
	due  time.Time
	meta string
}

// plannedJobs plans n jobs, due evenly over a span from start on.
func plannedJobs(n int, start time.Time, span time.Duration) []plannedJob {
	all := make([]plannedJob, n)
	for i := range all {
		due := start.Add(span * time.Duration(i) / time.Duration(n)).Truncate(time.Millisecond)
		all[i] = plannedJob{id: strconv.Itoa(i), due: due, meta: fmt.Sprintf(`{"n": %d}`, i)}
	}
	return all
}

func (j plannedJob) body(route string) string {
	return string(must(client.Encode(client.NewJob{ID: j.id, TriggerTime: j.due.UnixMilli(), Meta: []byte(j.meta), Route: route})))
}

// create creates jobs in /job/db/coll, many at once. All must be answered 200.
func (p *running) create(t *testing.T, jobs []plannedJob, route string) {
	t.Helper()
	began := time.Now()
	errorf := few(t)
	inParallel(len(jobs), 64, func(i int) {
		if a, _, err := p.insist(http.MethodPost, "/job/db/coll", jobs[i].body(route)); err != nil || !a.ok() {
			errorf("POST of job %s: %v (%v), want 200", jobs[i].id, a, err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	t.Logf("created %d jobs in %v", len(jobs), time.Since(began).Round(time.Millisecond))
}

// createBulk is create in one request.
func (p *running) createBulk(t *testing.T, jobs []plannedJob, route string) {
	t.Helper()
	began := time.Now()
	var lines strings.Builder
	for _, j := range jobs {
		lines.WriteString(j.body(route) + "\n")
	}
	answers := p.must(t, http.MethodPost, "/bulk/db/coll", lines.String())
	if stored := strings.Count(answers, `"status":"ok"`); stored != len(jobs) {
		t.Fatalf("%d of %d jobs were stored: %.2000s", stored, len(jobs), answers)
	}
	t.Logf("created %d jobs in %v", len(jobs), time.Since(began).Round(time.Millisecond))
}

// inParallel calls do with every number below n, from that many workers, and
// returns when all is done.
func inParallel(n, workers int, do func(i int)) {
	var next atomic.Int64
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	working.Wait()
}
