package streams_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"belfry/internal/job"
	"belfry/internal/metrics/metricstest"
	"belfry/streams"
)

// A burst makes the tail lag: the final states overwrite the claims before the tail reads
// them. No entry of the burst may be left in the queue.
func TestBurstLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	m := metricstest.New()
	f := open(t, streams.Config{OnlyNode: true, Metrics: m.Streams})
	f.route("r", job.NATS)
	stop := f.run()
	const n = 3_000
	var g errgroup.Group
	g.SetLimit(64)
	due := time.Now().Add(2 * time.Second)
	for i := range n {
		g.Go(func() error { return f.Jobs().Create(t.Context(), newJob(fmt.Sprint(i), "r", due)) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	kv, err := f.js.Stream(t.Context(), "FIRES")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "all fires are published", func() bool {
		info, err := kv.Info(t.Context(), jetstream.WithSubjectFilter("fires.>"))
		return err == nil && info.State.Subjects["fires.db.r"] == n
	})
	for i := range n {
		f.reaches(newJob(fmt.Sprint(i), "r", due).Key, job.Published)
	}
	becomes(t, m, `belfry_jobs_finished_total{status="published"}`, n) // as the tail brings them
	stop()
	if got := f.Entries(); got != 0 {
		t.Errorf("%d entries are left of finished jobs", got)
	}
}

// FIRES was purged, fence and all: the owner takes a new one.
func TestFencePurged(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	f.run()
	s, err := f.js.Stream(t.Context(), "FIRES")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	j := newJob("a", "r", time.Now())
	f.create(j)
	f.reaches(j.Key, job.Published)
}

// FIRES was lost and is recreated, with sequences that start again. The earlier claims
// are still settled.
func TestFiresLost(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	stop := f.run()
	for i := range 20 {
		j := newJob(fmt.Sprint(i), "r", time.Now())
		f.create(j)
		f.reaches(j.Key, job.Published)
	}
	stop()
	f.reopen(streams.Config{OnlyNode: true})
	j := newJob("a", "r", time.Now())
	f.create(j)
	f.crashAt(fireWrites, "", false)
	if err := f.js.DeleteStream(t.Context(), "FIRES"); err != nil {
		t.Fatal(err)
	}
	f.reopen(streams.Config{OnlyNode: true, RecreateMissing: true})
	f.run()
	f.reaches(j.Key, job.Published)
}

// A fire that was published before a downtime of more than half of FIRES' age is overdue
// when its claim is settled, and must not be claimed anew.
func TestLongDowntime(t *testing.T) {
	for _, published := range []bool{true, false} {
		t.Run(fmt.Sprintf("published %v", published), func(t *testing.T) {
			t.Parallel()
			f := open(t, streams.Config{OnlyNode: true})
			f.route("r", job.NATS)
			j := newJob("a", "r", time.Now())
			f.create(j)
			f.crashAt(fireWrites, "", published)
			f.reopen(streams.Config{OnlyNode: true, Now: func() time.Time { return time.Now().Add(37 * time.Hour) }})
			f.run()
			f.reaches(j.Key, job.Published)
			if got := f.messages("FIRES", "fires.>"); len(got) != 1 {
				t.Errorf("%d fires in FIRES, want 1", len(got))
			}
		})
	}
}

// An inbox that somebody else removed is recreated, and finds its fires.
func TestInboxRemade(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.REST)
	f.run()
	j := newJob("a", "r", time.Now())
	f.create(j)
	eventually(t, "the fire is published", func() bool { return len(f.messages("FIRES", "fires.>")) == 1 })
	if err := f.js.DeleteConsumer(t.Context(), "FIRES", "db_r"); err != nil {
		t.Fatal(err)
	}
	var got []job.Handover
	eventually(t, "the fire is handed out", func() bool {
		// The first fetch finds that the inbox is gone, and fails.
		_ = f.Inboxes().Fetch(t.Context(), job.RouteKey{DB: "db", ID: "r"}, 1, 2*time.Second, func(h job.Handover) { got = append(got, h) })
		return len(got) == 1
	})
}

// A job died and its id is armed again before the dead letter was written.
func TestDeadLetterBeforeRearming(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.REST)
	f.run()
	j := newJob("a", "r", time.Now())
	f.create(j)
	h := f.fetch("r")
	accept := f.refuse(deadWrites)
	dead := job.Result{Status: job.Dead, Reason: job.ReasonGone, Detail: "status 410"}
	if err := f.Jobs().Finish(t.Context(), h.Fire, dead); !errors.Is(err, job.ErrUnavailable) {
		t.Fatalf("finish without the dead letter: %v, want ErrUnavailable", err)
	}
	accept()
	again := j
	again.Trigger = time.Now().Add(time.Hour).UnixMilli()
	f.create(again)
	if err := f.Jobs().Finish(t.Context(), h.Fire, dead); err != nil {
		t.Errorf("finishing the old fire again: %v", err)
	}
	if got := f.messages("DEAD", "dead.>"); len(got) != 1 {
		t.Errorf("%d dead letters, want 1", len(got))
	}
}

// A firing job was deleted with a KV tool: its fire is over.
func TestKVDeleteOfFiringJob(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.REST)
	f.run()
	f.create(newJob("a", "r", time.Now()))
	h := f.fetch("r")
	kv, err := f.js.KeyValue(t.Context(), "jobs_0")
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Delete(t.Context(), "db.coll.a"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its fire is superseded", func() bool {
		st, _, err := f.Jobs().Standing(t.Context(), h.Fire)
		return err == nil && st == job.Superseded
	})
}

// The jobs bucket was replaced by another, whose sequences start again: the timer reads
// it from the beginning.
func TestJobsBucketReplaced(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	f.run()
	for i := range 20 {
		j := newJob(fmt.Sprint(i), "r", time.Now())
		f.create(j)
		f.reaches(j.Key, job.Published)
	}
	s, err := f.js.Stream(t.Context(), "KV_jobs_0")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.js.DeleteStream(t.Context(), "KV_jobs_0"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.js.CreateStream(t.Context(), s.CachedInfo().Config); err != nil {
		t.Fatal(err)
	}
	j := newJob("after", "r", time.Now())
	f.create(j)
	f.reaches(j.Key, job.Published)
}
