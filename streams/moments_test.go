package streams_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/internal/logtest"
	"belfry/streams"
	"belfry/streams/due"
	"belfry/streams/wire"
)

const tooFarAhead = "a stored moment is too far ahead and is not used; do the clocks of all nodes agree?"

func (f *fixture) putGate(key, value string) {
	f.t.Helper()
	kv, err := f.js.KeyValue(f.t.Context(), "gates")
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := kv.PutString(f.t.Context(), key, value); err != nil {
		f.t.Fatal(err)
	}
}

// Another clock has written the time of a route's next permit, before this node asked for
// one or after.
func TestPermitOfAnotherClock(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"half an hour ahead": strconv.FormatInt(time.Now().Add(30*time.Minute).UnixNano(), 10),
		"the end of time":    "9223372036854775807",
		"no time":            "soon",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &logtest.Log{}
			f := open(t, streams.Config{Log: log.Logger()})
			r := job.Route{RouteKey: job.RouteKey{DB: "db", ID: "r"}, Type: job.NATS}
			r.RateLimit = job.RateLimit{PerSecond: 20, Burst: 1}
			if err := f.Routes().Create(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			f.putGate("rate.db.r", value)
			f.run()
			began := time.Now()
			for i := range 10 {
				f.create(newJob(fmt.Sprint(i), "r", time.Now()))
			}
			f.firedOnce(10)
			f.putGate("rate.db.r", value)
			for i := range 10 {
				f.create(newJob(fmt.Sprint(10+i), "r", time.Now()))
			}
			f.firedOnce(20)
			if took := time.Since(began); took < 800*time.Millisecond {
				t.Errorf("20 fires took %v, which is faster than the route's 20/s", took)
			}
			want := tooFarAhead
			if value == "soon" {
				want = "value in the gates bucket is no time; it is written anew"
			}
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, log)
			}
		})
	}
}

// Another clock shut a breaker for longer than any breaker does. Tries are let through
// one at a time.
func TestBreakerOfAnotherClock(t *testing.T) {
	t.Parallel()
	log := &logtest.Log{}
	f := open(t, streams.Config{Log: log.Logger()})
	f.route("r", job.REST)
	f.run()
	f.putGate("breaker.db.r", strconv.FormatInt(time.Now().Add(30*time.Minute).UnixMilli(), 10))
	k := job.RouteKey{DB: "db", ID: "r"}
	eventually(t, "the breaker is half-open", func() bool {
		r, err := f.Routes().Get(t.Context(), k)
		return err == nil && r.Breaker == job.Breaker{State: job.BreakerHalfOpen}
	})
	for i := range 3 {
		f.create(newJob(fmt.Sprint(i), "r", time.Now()))
	}
	eventually(t, "a probe fires", func() bool { return len(f.messages("FIRES", "fires.>")) == 1 })
	if err := f.Breakers().Reset(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all fire", func() bool { return len(f.messages("FIRES", "fires.>")) == 3 })
	if !strings.Contains(log.String(), tooFarAhead) {
		t.Errorf("the log says nothing of clocks:\n%s", log)
	}
}

// The clock is set back by half an hour. A route with a rate limit goes on, though its
// permits are from before.
func TestClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	var back atomic.Int64
	now := func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
	f := open(t, streams.Config{Now: now})
	r := job.Route{RouteKey: job.RouteKey{DB: "db", ID: "r"}, Type: job.NATS}
	r.RateLimit = job.RateLimit{PerSecond: 20, Burst: 1}
	if err := f.Routes().Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	f.run()
	for i := range 10 {
		f.create(newJob(fmt.Sprint(i), "r", now()))
	}
	eventually(t, "one has fired", func() bool { return len(f.messages("FIRES", "fires.>")) > 0 })
	back.Store(int64(30 * time.Minute))
	for i := range 10 {
		f.create(newJob(fmt.Sprint(10+i), "r", now()))
	}
	eventually(t, "those that are due by the new time have fired", func() bool {
		seen := map[string]bool{}
		for _, m := range f.messages("FIRES", "fires.>") {
			seen[m.Headers().Get(job.HeaderJobID)] = true
		}
		for i := range 10 {
			if !seen[fmt.Sprint(10+i)] {
				return false
			}
		}
		return true
	})
}

func TestHonestPermits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		limit      job.RateLimit
		partitions int
		least      time.Duration // for the permits that the partitions may hold at once
		most       time.Duration
	}{
		{job.RateLimit{PerSecond: 1000}, 1, 250 * time.Millisecond, 11 * time.Second},
		{job.RateLimit{PerSecond: 10}, 8, 2400 * time.Millisecond, 15 * time.Second},
		{job.RateLimit{PerSecond: 1. / 60}, 1, time.Minute, 3 * time.Minute},
		{job.RateLimit{PerSecond: 0.001}, 50, 50_000 * time.Second, 110_000 * time.Second},
	} {
		if got := due.HonestPermits(tt.limit, tt.partitions); got < tt.least || got > tt.most {
			t.Errorf("%v/s on %d partitions: %v ahead is honest, want %v to %v", tt.limit.PerSecond, tt.partitions, got, tt.least, tt.most)
		}
	}
}

func TestHonestDue(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_800_000_000_000)
	at := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
	const patience, year = 36 * time.Hour, 365 * 24 * time.Hour
	for _, tt := range []struct {
		name string
		r    job.Record
		want int64
	}{
		{"a job of next year", job.Record{Status: job.Scheduled, Due: at(year)}, at(year)},
		{"the longest retry", job.Record{Status: job.Retrying, Due: at(job.MaxRetryWait)}, at(job.MaxRetryWait)},
		{"a retry by a clock ahead", job.Record{Status: job.Retrying, Due: at(job.MaxRetryWait + time.Minute)}, at(0)},
		{"a retry that is overdue", job.Record{Status: job.Retrying, Due: at(-year)}, at(-year)},
		{"a claim", job.Record{Status: job.Firing, Due: at(patience)}, at(patience)},
		{"a claim by a clock a little ahead", job.Record{Status: job.Firing, Due: at(patience + time.Second)}, at(patience + time.Second)},
		{"a claim by a clock ahead", job.Record{Status: job.Firing, Due: at(year)}, at(patience)},
		{"redriven", job.Record{Arming: job.Arming{Redriven: at(0)}, Status: job.Scheduled, Due: at(0)}, at(0)},
		{"redriven by a clock ahead", job.Record{Arming: job.Arming{Redriven: at(30 * time.Minute)}, Status: job.Scheduled, Due: at(30 * time.Minute)}, at(0)},
		{"a retry of one that was redriven", job.Record{Arming: job.Arming{Redriven: at(0)}, Status: job.Retrying, Due: at(time.Hour)}, at(time.Hour)},
		{"over", job.Record{Status: job.Delivered, Finished: at(year)}, 0},
	} {
		got, other := due.HonestDue(tt.r, now, patience)
		if got.Due != tt.want || other != (tt.want != tt.r.Due) {
			t.Errorf("%s: due %d, another: %v; want %d", tt.name, got.Due, other, tt.want)
		}
	}
}

// A retry and a redriven job that a clock a year ahead has postponed fire now.
func TestRecordsOfAnotherClock(t *testing.T) {
	t.Parallel()
	log := &logtest.Log{}
	f := open(t, streams.Config{Log: log.Logger()})
	f.route("n", job.NATS)
	put := func(id string, change func(*job.Record)) {
		t.Helper()
		r := job.New(newJob(id, "n", time.Now().Add(-time.Hour)), "fire-"+id)
		change(&r)
		if _, err := f.js.PublishMsg(t.Context(), wire.EncodeRecord("$KV.jobs_0."+wire.JobKey(r.Key), r, time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	ahead := time.Now().Add(365 * 24 * time.Hour).UnixMilli()
	put("retried", func(r *job.Record) { r.Status, r.Due, r.Attempt, r.Reason = job.Retrying, ahead, 1, job.ReasonFailed })
	put("redriven", func(r *job.Record) { r.Due, r.Redriven = ahead, ahead })
	f.run()
	for _, id := range []string{"retried", "redriven"} {
		f.reaches(newJob(id, "", time.Time{}).Key, job.Published)
	}
	if !strings.Contains(log.String(), tooFarAhead) {
		t.Errorf("the log says nothing of clocks:\n%s", log)
	}
}

// A claim that a clock a year ahead has made is made anew when an honest claim would be
// overdue.
func TestClaimOfAnotherClockIsMadeAnew(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_800_000_000_000)
	const patience = 36 * time.Hour
	a := due.NewQueue(func(job.RouteKey) due.GateState { return due.GateState{Out: due.Unlimited} }, func(job.RouteKey) {})
	claim := job.New(newJob("a", "r", now), "fire")
	claim.Status, claim.Due, claim.Revision = job.Firing, now.Add(365*24*time.Hour).UnixMilli(), 7
	seen, _ := due.HonestDue(claim, now, patience)
	a.Observe(seen)
	now = now.Add(patience)
	if got := a.ToLoad(now); len(got) != 1 || got[0] != 7 {
		t.Fatalf("loaded: %v, want the claim", got)
	}
	loaded, _ := due.HonestDue(claim, now, patience)
	a.SetLoaded(loaded, now)
	if got := a.ToFire(now, 10); len(got) != 1 || got[0].Revision != 7 {
		t.Errorf("to be claimed anew: %v, want the claim", got)
	}
	a.Remove(7)
	if n := a.Entries(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// A change names the record it replaces by its stored due time. If that differs from the
// honest time, the record is found gone when it is loaded.
func TestRecordOfAnotherClockIsReplaced(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_800_000_000_000)
	a := due.NewQueue(func(job.RouteKey) due.GateState { return due.GateState{Out: due.Unlimited} }, func(job.RouteKey) {})
	r := job.New(newJob("a", "r", now), "fire")
	r.Status, r.Due, r.Revision = job.Retrying, now.Add(365*24*time.Hour).UnixMilli(), 7
	seen, _ := due.HonestDue(r, now, time.Hour)
	a.Observe(seen)
	cancelled, err := r.Cancel(now)
	if err != nil {
		t.Fatal(err)
	}
	cancelled.Revision = 8
	a.Observe(cancelled)
	for _, seq := range a.ToLoad(now) {
		a.Remove(seq)
	}
	if n := a.Entries(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}
