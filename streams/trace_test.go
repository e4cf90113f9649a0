package streams_test

import (
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/streams"
	"belfry/streams/wire"
)

// The trace of a job is on everything that follows from it: its fires, its retries, its
// dead letter, and the job that is redriven from that.
func TestTraceGoesAllTheWay(t *testing.T) {
	t.Parallel()
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	f := open(t, streams.Config{})
	f.run()
	f.route("r", job.REST)
	j := newJob("j", "r", time.Now())
	j.Trace = trace
	f.create(j)
	fire := func(n int) job.Fire {
		t.Helper()
		eventually(t, "the fire is there", func() bool { return len(f.messages(streams.FiresStream, "fires.db.r")) == n })
		m := f.messages(streams.FiresStream, "fires.db.r")[n-1]
		if got := m.Headers().Get("traceparent"); got != trace {
			t.Errorf("fire %d has the traceparent %q, want %q", n, got, trace)
		}
		got, err := wire.DecodeFire(m.Headers(), m.Data(), 1, time.Now())
		if err != nil || got.Trace != trace {
			t.Errorf("fire %d: trace %q, %v; want %q", n, got.Trace, err, trace)
		}
		return got
	}
	finish := func(fire job.Fire, res job.Result) {
		t.Helper()
		if err := f.Jobs().Finish(t.Context(), fire, res); err != nil {
			t.Fatal(err)
		}
		if r := f.get(j.Key); r.Trace != trace {
			t.Errorf("the %s job has the trace %q, want %q", r.Status, r.Trace, trace)
		}
	}
	finish(fire(1), job.Result{Status: job.Retrying, RetryAt: time.Now().UnixMilli(), Reason: job.ReasonFailed})
	finish(fire(2), job.Result{Status: job.Dead, Reason: job.ReasonGone})
	page, err := f.Letters().List(t.Context(), job.LetterQuery{DB: "db"})
	if err != nil || len(page.Letters) != 1 || page.Letters[0].Trace != trace {
		t.Fatalf("dead letters: %+v, %v; want one with the trace %q", page.Letters, err, trace)
	}
	if _, err := f.Letters().Redrive(t.Context(), "db", page.Letters[0].Number); err != nil {
		t.Fatal(err)
	}
	finish(fire(3), job.Result{Status: job.Delivered})
}

// A new arming has the trace of its own request. Repeating the same request changes
// nothing.
func TestTraceOfANewArming(t *testing.T) {
	t.Parallel()
	const first, second = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00"
	f := open(t, streams.Config{})
	f.route("r", job.REST)
	j := newJob("j", "r", time.Now().Add(time.Hour))
	steps := []struct {
		trace string
		do    func(job.Job) error
		want  string
	}{
		{first, func(j job.Job) error { return f.Jobs().Create(t.Context(), j) }, first},
		{second, func(j job.Job) error { return f.Jobs().Create(t.Context(), j) }, first},
		{second, func(j job.Job) error { return f.Jobs().Update(t.Context(), j, 0) }, second},
		{first, func(j job.Job) error { return f.Jobs().Fire(t.Context(), j.Key) }, second},
		{"", func(j job.Job) error { return f.Jobs().Update(t.Context(), j, 0) }, ""},
	}
	for i, step := range steps {
		j.Trace = step.trace
		if err := step.do(j); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if r := f.get(j.Key); r.Trace != step.want {
			t.Errorf("after step %d the trace is %q, want %q", i, r.Trace, step.want)
		}
	}
}
