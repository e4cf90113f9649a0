package streams_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/internal/metrics/metricstest"
	"belfry/streams"
	"belfry/streams/wire"
)

// While a route is paused its jobs stay as they are and can be cancelled. Afterwards they
// fire in due order.
func TestPause(t *testing.T) {
	for _, kind := range []job.RouteType{job.REST, job.NATS} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			m := metricstest.New()
			f := open(t, streams.Config{Metrics: m.Streams})
			f.route("r", kind)
			f.route("other", kind)
			f.run()
			k := job.RouteKey{DB: "db", ID: "r"}
			if err := f.Routes().Pause(t.Context(), k, 0); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			const n = 20
			for i := range n {
				f.create(newJob(fmt.Sprint(i), "r", start.Add(time.Duration(n-i)*time.Millisecond)))
			}
			// Jobs due after them on another route have fired, so they would have fired,
			// too.
			f.create(newJob("other", "other", start.Add(2*n*time.Millisecond)))
			eventually(t, "the other route fires", func() bool { return len(f.messages("FIRES", "fires.>")) == 1 })
			for i := range n {
				if got := f.get(newJob(fmt.Sprint(i), "r", start).Key).Status; got != job.Scheduled {
					t.Fatalf("job %d of a paused route is %s", i, got)
				}
			}
			becomes(t, m, `belfry_jobs_held{partition="0"}`, n)
			becomes(t, m, `belfry_jobs_overdue{partition="0"}`, 0)
			if err := f.Jobs().Cancel(t.Context(), newJob("7", "r", start).Key, 0); err != nil {
				t.Errorf("cancel while the route is paused: %v", err)
			}
			if err := f.Routes().Resume(t.Context(), k); err != nil {
				t.Fatal(err)
			}
			eventually(t, "what waited fires", func() bool { return len(f.messages("FIRES", "fires.>")) == n })
			var got, want []string
			for _, m := range f.messages("FIRES", "fires.db.r") {
				fire, err := wire.DecodeFire(m.Headers(), m.Data(), 1, time.Time{})
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fire.Key.ID)
			}
			for i := n - 1; i >= 0; i-- {
				if i != 7 {
					want = append(want, fmt.Sprint(i))
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("fired %v, want %v", got, want)
			}
		})
	}
}

func TestPauseEndsByItself(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	f.run()
	until := time.Now().Add(400 * time.Millisecond).Truncate(time.Millisecond)
	if err := f.Routes().Pause(t.Context(), job.RouteKey{DB: "db", ID: "r"}, until.UnixMilli()); err != nil {
		t.Fatal(err)
	}
	j := newJob("a", "r", time.Now())
	f.create(j)
	f.reaches(j.Key, job.Published)
	m := f.messages("FIRES", "fires.>")[0]
	at, err := m.Metadata()
	if err != nil || at.Timestamp.Before(until) {
		t.Errorf("fired at %v (%v), paused until %v", at.Timestamp, err, until)
	}
}

// The rate limit of a NATS route holds back its fires, in due order, and the held jobs
// can be cancelled. Without a limit nothing waits.
func TestRateLimitOfNATSRoute(t *testing.T) {
	t.Parallel()
	m := metricstest.New()
	f := open(t, streams.Config{Metrics: m.Streams})
	r := f.route("r", job.NATS)
	r.RateLimit = job.RateLimit{PerSecond: 50, Burst: 1}
	if err := f.Routes().Replace(t.Context(), r, 0); err != nil {
		t.Fatal(err)
	}
	f.run()
	const n = 20
	start := time.Now()
	for i := range n {
		f.create(newJob(fmt.Sprint(i), "r", start.Add(time.Duration(i-n)*time.Millisecond)))
	}
	last := newJob("last", "r", start)
	f.create(last)
	if err := f.Jobs().Cancel(t.Context(), last.Key, 0); err != nil {
		t.Errorf("cancel of what waits for the rate limit: %v", err)
	}
	for i := range n {
		f.reaches(newJob(fmt.Sprint(i), "r", start).Key, job.Published)
	}
	fires := f.messages("FIRES", "fires.>")
	if len(fires) != n {
		t.Fatalf("%d fires, want %d", len(fires), n)
	}
	for i, msg := range fires {
		fire, err := wire.DecodeFire(msg.Headers(), msg.Data(), 1, time.Time{})
		if err != nil || fire.Key.ID != fmt.Sprint(i) && i > 0 { // the first was there before the others
			t.Errorf("fire %d is of job %s (%v)", i, fire.Key.ID, err)
		}
		if earliest := start.Add(time.Duration(i) * 20 * time.Millisecond); fire.Fired.Before(earliest.Truncate(time.Millisecond)) {
			t.Errorf("fire %d came %v too early for 50/s", i, earliest.Sub(fire.Fired))
		}
	}
	r.RateLimit = job.RateLimit{}
	if err := f.Routes().Replace(t.Context(), r, 0); err != nil {
		t.Fatal(err)
	}
	f.create(newJob("free", "r", time.Now()))
	f.reaches(newJob("free", "r", start).Key, job.Published)
}

// A breaker that trips on one node shuts the gates on the other.
func TestBreakerShutsGates(t *testing.T) {
	t.Parallel()
	m := metricstest.New()
	f := open(t, streams.Config{Metrics: m.Streams})
	f.route("r", job.REST)
	f.run()
	other, err := streams.Open(t.Context(), f.server.Connect(), streams.Config{})
	if err != nil {
		t.Fatal(err)
	}
	k := job.RouteKey{DB: "db", ID: "r"}
	if err := other.Breakers().Trip(t.Context(), k, time.Now().Add(job.BreakerPause)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the breaker is known", func() bool {
		r, err := f.Routes().Get(t.Context(), k)
		return err == nil && r.Breaker.State == job.BreakerOpen
	})
	listed := func() job.BreakerState {
		page, err := f.Routes().List(t.Context(), job.RouteQuery{DB: "db"})
		if err != nil || len(page.Routes) != 1 {
			t.Fatalf("the list of routes: %+v, %v", page, err)
		}
		return page.Routes[0].Breaker.State
	}
	if got := listed(); got != job.BreakerOpen {
		t.Errorf("the list shows the breaker as %q, want open", got)
	}
	for i := range 3 {
		f.create(newJob(fmt.Sprint(i), "r", time.Now()))
	}
	const state = `belfry_breaker_state{db="db",route="r"}`
	becomes(t, m, state, 2)
	becomes(t, m, `belfry_jobs_held{partition="0"}`, 3)
	if err := other.Breakers().Trip(t.Context(), k, time.Now()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a probe fires", func() bool { return len(f.messages("FIRES", "fires.>")) == 1 })
	if got := f.get(newJob("1", "r", time.Now()).Key).Status; got != job.Scheduled {
		t.Errorf("beside the probe another job is %s", got)
	}
	becomes(t, m, state, 1)
	becomes(t, m, `belfry_jobs_held{partition="0"}`, 2)
	if r, err := f.Routes().Get(t.Context(), k); err != nil || r.Breaker.State != job.BreakerHalfOpen {
		t.Errorf("the breaker is %q (%v), want half-open", r.Breaker.State, err)
	}
	if err := other.Breakers().Reset(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all fire", func() bool { return len(f.messages("FIRES", "fires.>")) == 3 })
	becomes(t, m, state, 0)
	if got := listed(); got != "" {
		t.Errorf("the list shows the breaker as %q, want closed", got)
	}
}

// A retry that is put back is as it was before its claim.
func TestRetryIsPutBack(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.route("r", job.REST)
	f.run()
	j := newJob("a", "r", time.Now())
	f.create(j)
	h := f.fetch("r")
	due := time.Now().UnixMilli()
	failed := job.Result{Status: job.Retrying, RetryAt: due, Reason: job.ReasonFailed, Detail: "status 500"}
	if err := f.Jobs().Finish(t.Context(), h.Fire, failed); err != nil {
		t.Fatal(err)
	}
	if err := h.Ack(); err != nil {
		t.Fatal(err)
	}
	h = f.fetch("r")
	st, rec, err := f.Jobs().Standing(t.Context(), h.Fire)
	if err != nil || st != job.Valid || rec.Replaces.Due != due || rec.Reason != job.ReasonFailed || rec.Detail != "status 500" {
		t.Errorf("the claim of the retry: %v, %+v, %v; want it valid, due at %d, and to say what the last try did", st, rec, err, due)
	}
	later := time.Now().Add(time.Hour).UnixMilli() // otherwise it would be claimed again
	back := job.Result{Status: job.Scheduled, RetryAt: later, Reason: rec.Reason, Detail: rec.Detail}
	if err := f.Jobs().Finish(t.Context(), h.Fire, back); err != nil {
		t.Fatal(err)
	}
	r := f.get(j.Key)
	if r.Status != job.Retrying || r.Due != later || r.Attempt != 1 || r.Reason != job.ReasonFailed || r.Detail != "status 500" || r.FireID != h.FireID {
		t.Errorf("put back as %+v, want it retrying after one try that failed", r)
	}
}

// When a route is deleted, each node drops what it knows about its breaker.
func TestBreakerOfADeletedRoute(t *testing.T) {
	t.Parallel()
	m := metricstest.New()
	f := open(t, streams.Config{Metrics: m.Streams})
	f.route("r", job.REST)
	f.run()
	k := job.RouteKey{DB: "db", ID: "r"}
	if err := f.Breakers().Trip(t.Context(), k, time.Now().Add(job.BreakerPause)); err != nil {
		t.Fatal(err)
	}
	becomes(t, m, `belfry_breaker_state{db="db",route="r"}`, 2)
	if err := f.Routes().Delete(t.Context(), k, 0); err != nil {
		t.Fatal(err)
	}
	becomes(t, m, `belfry_breaker_state{db="db",route="r"}`, 0)
}

// A route's concurrency is one limit over all nodes that fetch from its inbox.
func TestConcurrencyOverTwoNodes(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	k := job.RouteKey{DB: "db", ID: "r"}
	r := job.Route{RouteKey: k, Type: job.REST, WebhookURL: "http://127.0.0.1:9/", Policy: job.Policy{Concurrency: 5}}
	if err := f.Routes().Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	other, err := streams.Open(t.Context(), f.server.Connect(), streams.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f.run()
	for i := range 20 {
		f.create(newJob(fmt.Sprint(i), "r", time.Now()))
	}
	eventually(t, "all fire", func() bool { return len(f.messages("FIRES", "fires.>")) == 20 })
	fetch := func(s *streams.Store, n int) (got []job.Handover) {
		t.Helper()
		if err := s.Inboxes().Fetch(t.Context(), k, n, 500*time.Millisecond, func(h job.Handover) { got = append(got, h) }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	here, there := fetch(f.Store, 3), fetch(other, 10)
	if len(here) != 3 || len(there) != 2 {
		t.Errorf("one node has %d fires and the other %d, want 3 and 2", len(here), len(there))
	}
	if err := here[0].Ack(); err != nil {
		t.Fatal(err)
	}
	if again := fetch(other, 10); len(again) != 1 {
		t.Errorf("after one ack %d fires are handed out, want 1", len(again))
	}
	r.Concurrency = 0
	if err := f.Routes().Replace(t.Context(), r, 0); err != nil {
		t.Fatal(err)
	}
	if rest := fetch(other, 14); len(rest) != 14 {
		t.Errorf("without a limit %d fires are handed out, want the 14 that are left", len(rest))
	}
}
