package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"belfry/api/client"
	"belfry/internal/waittest"
)

// gated makes a REST route to the receiver, with more fields.
func (r *receiver) gated(t *testing.T, p *running, id, fields string) {
	t.Helper()
	p.must(t, "POST", "/route/db", fmt.Sprintf(`{"id":%q,"type":"REST","webhook_url":%q,%s}`, id, r.url, fields))
}

// owned is a partition that a node fires, in its metrics.
var owned = regexp.MustCompile(`(?m)^belfry_timer_partition_owned\{[^}]*\} 1$`)

// Two nodes share the rate of a route: there are never more fires than it allows since
// the first could begin. A busy machine may be late with some, so only in full size must
// they come at 95 to 105 a second.
func TestRateLimitOverTwoNodes(t *testing.T) {
	besideOthers(t)
	one := startProgram(t, t.TempDir(), "--partitions", "8")
	two := startBeside(t, one)
	// A partition that changes hands loses its permits, which makes the route
	// slower for a moment.
	waittest.Eventually(t, func() string {
		a, err := two.do(http.MethodGet, "/metrics", "")
		if n := len(owned.FindAllString(a.body, -1)); err != nil || n != 4 {
			return fmt.Sprintf("the second node owns %d partitions (%v), want 4", n, err)
		}
		return ""
	})
	r := newReceiver(t, nil)
	r.gated(t, one, "limited", `"rate_limit":{"per_second":100,"burst":1}`)
	start := time.Now()
	n := 500
	if *full {
		n = 6000
	}
	jobs := plannedJobs(n, start, time.Millisecond)
	two.createBulk(t, jobs, "limited")
	var at []time.Time
	for _, posts := range r.waitFor(t, len(jobs)) {
		for _, p := range posts {
			at = append(at, p.at)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	for i, a := range at {
		if earliest := start.Add(time.Duration(i) * 10 * time.Millisecond); a.Before(earliest) {
			t.Fatalf("fire %d came %v too early for 100/s", i, earliest.Sub(a))
		}
	}
	if len(at) != len(jobs) {
		t.Errorf("%d fires, want %d", len(at), len(jobs))
	}
	rate := func(from, to int) float64 { return float64(to-from) / at[to].Sub(at[from]).Seconds() }
	whole, slowest, fastest := rate(0, len(at)-1), math.Inf(1), 0.0
	for from := 0; from+100 < len(at); from += 100 {
		slowest, fastest = min(slowest, rate(from, from+100)), max(fastest, rate(from, from+100))
	}
	t.Logf("%d fires at %.2f/s; of a hundred in a row the slowest at %.1f/s, the fastest at %.1f/s", len(at), whole, slowest, fastest)
	if *full && (whole < 95 || whole > 105) {
		t.Errorf("the receiver saw %.2f/s, want 95 to 105", whole)
	}
}

// An endpoint that is down gets a probe now and then, no job dies of it, nothing spins,
// and all jobs arrive when it is back.
func TestEndpointDown(t *testing.T) {
	besideOthers(t)
	plays(t)
	n, perSecond, down := 2000, 2000, 2*time.Second
	if *full {
		n, perSecond, down = 20_000, 1000, 40*time.Second
	}
	p := startProgram(t, t.TempDir(), "--admin-listen", "127.0.0.1:0")
	var up atomic.Bool
	r := newReceiver(t, func(*http.Request, post) int {
		if !up.Load() {
			return http.StatusBadGateway
		}
		return http.StatusOK
	})
	r.gated(t, p, "hook", fmt.Sprintf(`"rate_limit":{"per_second":%d}`, perSecond))
	jobs := plannedJobs(n, time.Now(), time.Millisecond)
	p.createBulk(t, jobs, "hook")
	waittest.Eventually(t, func() string {
		if a := p.must(t, "GET", "/route/db/hook", ""); !strings.Contains(a, `"breaker":{"state":"open"`) {
			return "the route shows " + a + ", want an open breaker"
		}
		return ""
	})
	waittest.Eventually(t, func() string {
		return firing(t, p)
	})

	before, used := time.Now(), p.cpu(t)
	p.profile(t, "down.pprof", down)
	took := time.Since(before)
	share := float64(p.cpu(t)-used) / float64(took)
	tried := 0
	for _, posts := range r.jobs() {
		tried += len(posts)
	}
	t.Logf("down for %v: %d tries in all, %.3f of a processor", took.Round(time.Second), tried, share)
	// These may be tried: jobs that are under way as it trips, jobs that fail beside
	// others, and the probes.
	if most := 3*triesPerRoute + int(took/(5*time.Second)); tried > most {
		t.Errorf("%d of %d jobs were tried at an endpoint that is down, want at most %d", tried, n, most)
	}
	if *full && share > 0.1 {
		t.Errorf("while the endpoint was down belfry used %.3f of a processor, want at most 0.1", share)
	}

	up.Store(true)
	back := time.Now()
	r.waitEach(t, jobs, since(back))
	took = time.Since(back)
	t.Logf("all %d arrived within %v of its recovery, at %d a second at most", n, took.Round(time.Millisecond), perSecond)
	if *full && took > time.Minute {
		t.Errorf("all had arrived %v after the recovery, want them within a minute", took)
	}
	waittest.Eventually(t, func() string {
		a := p.must(t, "GET", "/metrics", "")
		if want := fmt.Sprintf("\nbelfry_jobs_finished_total{status=\"delivered\"} %d\n", n); !strings.Contains(a, want) {
			return "not all jobs are delivered"
		}
		return ""
	})
	if a := p.must(t, "GET", "/route/db/hook", ""); strings.Contains(a, "breaker") {
		t.Errorf("the route shows %s after all arrived", a)
	}
}

// firing says that jobs are firing, or nothing. The gauge of the metrics is too old for it.
func firing(t *testing.T, p *running) string {
	t.Helper()
	if a := p.must(t, "GET", "/job/db?status=firing&limit=1", ""); !strings.Contains(a, `"jobs":[]`) {
		return "jobs are firing still: " + a
	}
	return ""
}

// A pause outlives kill -9, and so do the jobs that wait for its end.
func TestPauseOutlivesKill(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := startProgram(t, data)
	r := newReceiver(t, nil)
	r.route(t, p, "hook")
	p.must(t, "POST", "/route/db/hook/pause", "")
	jobs := plannedJobs(200, time.Now(), time.Millisecond)
	p.create(t, jobs, "hook")
	p.kill(t)
	p = startProgram(t, data)
	if a := p.must(t, "GET", "/route/db/hook", ""); !strings.Contains(a, `"paused":true`) {
		t.Errorf("after kill -9 the route shows %s", a)
	}
	for _, j := range jobs[:5] {
		p.must(t, "DELETE", "/job/db/coll/"+j.id, "")
	}
	if n := len(r.jobs()); n > 0 {
		t.Errorf("%d jobs arrived while their route was paused", n)
	}
	p.must(t, "POST", "/route/db/hook/resume", "")
	got := r.waitFor(t, len(jobs)-5)
	for _, j := range jobs[:5] {
		if len(got[j.id]) > 0 {
			t.Errorf("job %s arrived, though it was cancelled during the pause", j.id)
		}
	}
}

// A breaker that tripped outlives kill -9, and so do the jobs that wait for its
// endpoint: a probe finds it back, and all arrive, each once.
func TestBreakerOutlivesKill(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := startProgram(t, data)
	var up atomic.Bool
	r := newReceiver(t, func(*http.Request, post) int {
		if !up.Load() {
			return http.StatusBadGateway
		}
		return http.StatusOK
	})
	r.route(t, p, "hook")
	jobs := plannedJobs(200, time.Now(), time.Millisecond)
	p.create(t, jobs, "hook")
	breaker := func() (state client.BreakerState, until time.Time) {
		var shown client.Route
		if a := p.must(t, "GET", "/route/db/hook", ""); json.Unmarshal([]byte(a), &shown) != nil {
			t.Fatalf("the route shows %s", a)
		}
		return shown.Breaker.State, time.UnixMilli(shown.Breaker.Until)
	}
	// A try that was under way as it tripped is put back, or fails, and may trip it again.
	waittest.Eventually(t, func() string {
		if state, _ := breaker(); state != client.BreakerOpen {
			return fmt.Sprintf("the breaker is %q, want it open", state)
		}
		return firing(t, p)
	})
	tries := func() (n int) {
		for _, posts := range r.jobs() {
			n += len(posts)
		}
		return n
	}
	_, until := breaker()
	before := tries()
	p.kill(t)
	p = startProgram(t, data)
	waittest.Eventually(t, func() string { // it is read beside the first requests
		if state, again := breaker(); time.Now().Before(until) && (state != client.BreakerOpen || !again.Equal(until)) {
			return fmt.Sprintf("after kill -9 the breaker is %q until %v, want it open until %v", state, again, until)
		}
		return ""
	})
	for _, j := range jobs[:5] {
		p.must(t, "DELETE", "/job/db/coll/"+j.id, "")
	}
	if n := tries(); time.Now().Before(until) && n != before {
		t.Errorf("%d tries were made between the kill and the time of the probe", n-before)
	}
	up.Store(true)
	back := time.Now()
	r.waitEach(t, jobs[5:], since(back))
	settled(t, p.jetStream(t), "db_hook")
	got := r.jobs()
	errorf := few(t)
	for i, j := range jobs {
		accepted := slices.DeleteFunc(slices.Clone(got[j.id]), func(p post) bool { return p.at.Before(back) })
		switch {
		case i < 5 && len(accepted) > 0:
			errorf("job %s arrived, though it was cancelled while the breaker was open", j.id)
		case i >= 5 && (len(accepted) != 1 || accepted[0].at.Before(until)):
			errorf("job %s arrived %d times, at %v, want once, after %v", j.id, len(accepted), accepted, until)
		}
	}
	if state, _ := breaker(); state != "" {
		t.Errorf("the breaker is %q after all arrived", state)
	}
}
