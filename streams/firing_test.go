package streams_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"belfry/internal/job"
	"belfry/streams"
	"belfry/streams/due"
)

func TestNATSRouteFires(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	f.run()
	due := time.Now().Add(300 * time.Millisecond)
	j := newJob("a", "r", due)
	f.create(j)

	c, err := f.js.Consumer(t.Context(), "FIRES", "db_r")
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Next()
	if err != nil {
		t.Fatal(err)
	}
	if now := time.Now(); now.Before(due.Truncate(time.Millisecond)) {
		t.Errorf("fired at %v, before its time %v", now, due)
	} else {
		t.Logf("late by %v", now.Sub(due))
	}
	if got, want := string(m.Data()), string(j.Meta); got != want {
		t.Errorf("the fire carries %q, want the meta %q", got, want)
	}
	r := f.reaches(j.Key, job.Published)
	if r.Attempt != 1 || m.Headers().Get("webhook-id") != r.FireID {
		t.Errorf("attempt %d and fire id %q; want 1 and %q", r.Attempt, m.Headers().Get("webhook-id"), r.FireID)
	}
}

// A claim that nobody finishes is made anew at half of FIRES' age; the old claim's fire
// is worthless from then on.
func TestForgottenClaimIsMadeAnew(t *testing.T) {
	f := open(t, streams.Config{FiresMaxAge: 4 * time.Second})
	f.route("r", job.REST)
	f.run()
	j := newJob("a", "r", time.Now())
	f.create(j)
	first := f.fetch("r")
	again := f.fetch("r")
	if _, rec, err := f.Jobs().Standing(t.Context(), again.Fire); err != nil || rec.Replaces.Due != j.Trigger {
		t.Errorf("the new claim is for a try due at %d (%v), want %d", rec.Replaces.Due, err, j.Trigger)
	}
	if again.FireID != first.FireID || again.Attempt != 1 || again.Claim == first.Claim {
		t.Errorf("second fire %q attempt %d claim %d; want the same id and attempt for another claim than %d",
			again.FireID, again.Attempt, again.Claim, first.Claim)
	}
	first.Times++ // as in a redelivery
	for _, tt := range []struct {
		fire job.Fire
		want job.Standing
	}{{first.Fire, job.Superseded}, {again.Fire, job.Valid}} {
		if st, _, err := f.Jobs().Standing(t.Context(), tt.fire); err != nil || st != tt.want {
			t.Errorf("standing of the fire for claim %d: %v, %v; want %v", tt.fire.Claim, st, err, tt.want)
		}
	}
}

// A failed try is a job again, due at its retry; it can be cancelled then.
func TestRetryIsAJob(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.REST)
	f.run()
	fail := func(id string, again time.Time) job.Job {
		t.Helper()
		j := newJob(id, "r", time.Now())
		f.create(j)
		h := f.fetch("r")
		other := j
		other.Meta = []byte(`"other"`)
		for name, change := range map[string]func() error{
			"PUT":    func() error { return f.Jobs().Update(t.Context(), other, 0) },
			"DELETE": func() error { return f.Jobs().Cancel(t.Context(), j.Key, 0) },
		} {
			if err := change(); !errors.Is(err, job.ErrFiring) {
				t.Errorf("%s while it fires: %v, want ErrFiring", name, err)
			}
		}
		// An update that was applied without an answer is sent again.
		if err := f.Jobs().Update(t.Context(), j, 0); err != nil {
			t.Errorf("PUT of what fires: %v, want it to be done", err)
		}
		res := job.Result{Status: job.Retrying, RetryAt: again.UnixMilli(), Reason: job.ReasonFailed, Detail: "status 500"}
		if err := f.Jobs().Finish(t.Context(), h.Fire, res); err != nil {
			t.Fatal(err)
		}
		if err := h.Ack(); err != nil {
			t.Fatal(err)
		}
		return j
	}
	due := time.Now().Add(500 * time.Millisecond)
	j := fail("again", due)
	second := f.fetch("r")
	if now := time.Now(); now.Before(due.Truncate(time.Millisecond)) {
		t.Errorf("tried again at %v, due %v", now, due)
	}
	if r := f.get(j.Key); second.Attempt != 2 || second.FireID != r.FireID || r.Attempt != 2 {
		t.Errorf("attempt %d with id %q, the record says %d and %q; want 2 with the same id", second.Attempt, second.FireID, r.Attempt, r.FireID)
	}

	j = fail("cancelled", time.Now().Add(time.Hour))
	if err := f.Jobs().Cancel(t.Context(), j.Key, 0); err != nil {
		t.Errorf("cancel of a retrying job: %v", err)
	}
	if r := f.get(j.Key); r.Status != job.Cancelled {
		t.Errorf("after its cancel the job is %s", r.Status)
	}
}

// A bounded number of fires of a REST route are out; the other jobs can be cancelled.
func TestGateKeepsJobsCancellable(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.REST)
	f.run()
	const n = due.GateLimit + 100
	var g errgroup.Group
	g.SetLimit(64)
	trigger := time.Now()
	for i := range n {
		g.Go(func() error { return f.Jobs().Create(t.Context(), newJob(fmt.Sprint(i), "r", trigger)) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	count := func() map[job.Status]int {
		c := map[job.Status]int{}
		for i := range n {
			c[f.get(newJob(fmt.Sprint(i), "r", trigger).Key).Status]++
		}
		return c
	}
	eventually(t, "the gate is full", func() bool { return len(f.messages("FIRES", "fires.>")) == due.GateLimit })
	if got := count(); got[job.Firing] != due.GateLimit || got[job.Scheduled] != 100 {
		t.Errorf("%v; want %d firing and 100 scheduled", got, due.GateLimit)
	}
	cancelled := 0
	for i := range n {
		if f.Jobs().Cancel(t.Context(), newJob(fmt.Sprint(i), "r", trigger).Key, 0) == nil {
			cancelled++
		}
	}
	if cancelled != 100 {
		t.Errorf("%d jobs could be cancelled, want the 100 that wait", cancelled)
	}
}

// Doubt at any time loses nothing and doubles nothing.
func TestDoubtWhileFiring(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	f.run()
	const n = 600
	start := time.Now()
	var g errgroup.Group
	g.SetLimit(32)
	for i := range n {
		g.Go(func() error {
			if i%50 == 49 {
				f.Doubt()
			}
			return f.Jobs().Create(t.Context(), newJob(fmt.Sprint(i), "r", start.Add(time.Duration(i)*time.Millisecond)))
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	f.firedOnce(n)
}

// Jobs that are weeks, years and millennia ahead stay where they are, even across a
// restart.
func TestFarFutureNeverFiresNow(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	stop := f.run()
	const day = 24 * time.Hour
	var far []job.Job
	for i, due := range []time.Time{
		time.Now().Add(25 * day), time.Now().Add(30 * day), time.Now().Add(400 * day), time.UnixMilli(job.MaxTrigger),
	} {
		j := newJob(fmt.Sprint("far-", i), "r", due)
		f.create(j)
		far = append(far, j)
	}
	for i := range 2 {
		now := newJob(fmt.Sprint("now-", i), "r", time.Now())
		f.create(now)
		f.reaches(now.Key, job.Published)
		for _, j := range far {
			if got := f.get(j.Key); got.Status != job.Scheduled || got.Due != j.Trigger {
				t.Errorf("the job for %v is %s and due at %d, want scheduled for its time", time.UnixMilli(j.Trigger), got.Status, got.Due)
			}
		}
		if got := len(f.messages("FIRES", "fires.>")); got != i+1 {
			t.Errorf("%d fires, want %d", got, i+1)
		}
		if i == 0 {
			stop()
			f.reopen(streams.Config{})
			f.run()
		}
	}
}
