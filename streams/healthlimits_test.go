package streams_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/logtest"
	"belfry/internal/metrics/metricstest"
	"belfry/internal/natstest"
	"belfry/streams"
)

// A stream that has reached its max_bytes, which the operator sets, accepts a message no
// larger than the one it replaces. It still counts as a stream that accepts no writes.
func TestWritesBeyondALimit(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.ProbeAfter(100 * time.Millisecond)
	f.run()
	f.compared()
	for _, stream := range []string{"KV_jobs_0", "KV_routes", "KV_belfry", "KV_gates", "ATTEMPTS", streams.DeadStream} {
		subject := strings.TrimSuffix(streams.ProbeSubject(stream), "probe") + "x"
		if _, err := f.js.Publish(t.Context(), subject, make([]byte, 4<<10)); err != nil {
			t.Fatal(err)
		}
		f.edit(stream, func(cfg *jetstream.StreamConfig) { cfg.MaxBytes, cfg.Discard = 4<<10, jetstream.DiscardNew })
		f.unwritable(stream, "maximum bytes exceeded")
		if _, why := f.Stuck(t.Context()); why != "" {
			t.Errorf("a limit is reached, and Stuck says %q", why)
		}
		for range 5 { // it stays that way
			if f.Ready(t.Context()) == nil {
				t.Errorf("%s is ready, and has reached its limit", stream)
			}
			time.Sleep(100 * time.Millisecond) // some probes
		}
		f.edit(stream, func(cfg *jetstream.StreamConfig) { cfg.MaxBytes = -1 })
		eventually(t, "all is ready again", func() bool { return f.Ready(t.Context()) == nil })
	}
}

// A bucket without room for the next job does not seem to have room again and again just
// because a probe replaces a larger one.
func TestFullBucketDoesNotFlap(t *testing.T) {
	t.Parallel()
	log := new(logtest.Log)
	f := open(t, streams.Config{Log: log.Logger()})
	f.ProbeAfter(2 * time.Second) // longer than the pause between probes of a failing stream
	f.run()
	f.route("r", job.NATS)
	f.compared()
	s, err := f.js.Stream(t.Context(), "KV_jobs_0")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bucket was tried with a large message", func() bool {
		_, err := s.GetLastMsgForSubject(t.Context(), streams.ProbeSubject("KV_jobs_0"))
		return err == nil
	})
	jobs := 0
	for ; jobs < 40; jobs++ {
		f.create(newJob(fmt.Sprint(jobs), "r", time.Now().Add(time.Hour)))
	}
	f.edit("KV_jobs_0", func(cfg *jetstream.StreamConfig) { cfg.MaxBytes = int64(f.state("KV_jobs_0").Bytes) + 100 })
	cancel := func() error { // its marker is larger than the job
		for n := range jobs {
			if err := f.Jobs().Cancel(t.Context(), newJob(fmt.Sprint(n), "", time.Time{}).Key, 0); err != nil {
				return err
			}
		}
		return nil
	}
	if cancel() == nil {
		t.Fatal("all jobs are cancelled; this test needs a bucket that is too full for that")
	}
	f.unwritable("KV_jobs_0", "maximum bytes exceeded")
	for began := time.Now(); time.Since(began) < 5*time.Second; time.Sleep(50 * time.Millisecond) { // some probes
		_ = cancel() // one more may succeed while a probe gives room back
	}
	if n := strings.Count(log.String(), "writes to the stream work again"); n > 1 {
		t.Errorf("the log says %d times that writes work again", n)
	}
}

func (f *fixture) state(stream string) jetstream.StreamState {
	f.t.Helper()
	s, err := f.js.Stream(f.t.Context(), stream)
	if err != nil {
		f.t.Fatal(err)
	}
	return s.CachedInfo().State
}

// Each stream can be sealed.
func TestSealedStreams(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.ProbeAfter(100 * time.Millisecond)
	f.run()
	f.route("r", job.NATS)
	f.compared()
	for _, stream := range f.WrittenStreams() {
		if stream == "KV_tokens" {
			continue
		}
		f.edit(stream, func(cfg *jetstream.StreamConfig) { cfg.Sealed = true })
		f.unwritable(stream, "invalid operation on sealed stream (10109)")
	}
	began := time.Now()
	for what, err := range map[string]error{
		"a job":   f.Jobs().Create(t.Context(), newJob("a", "r", time.Now().Add(time.Hour))),
		"a route": f.Routes().Create(t.Context(), job.Route{RouteKey: job.RouteKey{DB: "db", ID: "more"}, Type: job.NATS}),
	} {
		if !errors.Is(err, job.ErrUnavailable) {
			t.Errorf("%s: %v, want %v", what, err, job.ErrUnavailable)
		}
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the answers took %v, want them at once", took)
	}
}

// Without JetStream, writes are answered at once, too.
func TestJetStreamIsOff(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.ProbeAfter(100 * time.Millisecond)
	f.run()
	f.route("r", job.NATS)
	if err := f.server.DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	f.unwritable("KV_jobs_0", "JetStream is off")
	began := time.Now()
	if err := f.Jobs().Create(t.Context(), newJob("a", "r", time.Now().Add(time.Hour))); !errors.Is(err, job.ErrUnavailable) {
		t.Errorf("a job: %v, want %v", err, job.ErrUnavailable)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the answer took %v, want it at once", took)
	}
}

// A due job that cannot be claimed, since the server has no storage left, is overdue.
func TestNoStorageLeft(t *testing.T) {
	t.Parallel()
	for name, only := range map[string]bool{"one node": true, "one of many": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			noStorageLeft(t, only)
		})
	}
}

func noStorageLeft(t *testing.T, only bool) {
	m := metricstest.New()
	var clock clock
	f := &fixture{t: t, server: natstest.StartWith(t, &server.Options{JetStreamMaxStore: 4 << 20})}
	f.connect()
	f.reopen(streams.Config{Metrics: m.Streams, OnlyNode: only, Now: clock.now})
	f.ProbeAfter(100 * time.Millisecond)
	stop := f.run()
	f.route("r", job.NATS)
	const jobs = 20
	for n := range jobs {
		f.create(newJob(fmt.Sprint(n), "r", clock.now().Add(time.Hour)))
	}
	filler, err := f.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "filler", Subjects: []string{"filler"}})
	if err != nil {
		t.Fatal(err)
	}
	for n := 64 << 10; n > 0; {
		if _, err := f.js.Publish(t.Context(), "filler", make([]byte, n)); err != nil {
			n /= 2
		}
	}
	f.unwritable("KV_jobs_0", "insufficient")
	if _, why := f.Stuck(t.Context()); why != "" {
		t.Errorf("a limit is reached, and Stuck says %q", why)
	}
	clock.forward(2 * time.Hour) // only after the storage is gone, or some jobs would fire
	becomes(t, m, `belfry_jobs_overdue{partition="0"}`, jobs)
	began := time.Now()
	if err := f.Jobs().Create(t.Context(), newJob("late", "r", clock.now().Add(time.Hour))); !errors.Is(err, job.ErrUnavailable) {
		t.Errorf("a job without storage: %v, want %v", err, job.ErrUnavailable)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v, want an answer at once", took)
	}
	stop()
	// The next start cannot own the partition either, and the jobs are still overdue.
	m = metricstest.New()
	f.reopen(streams.Config{Metrics: m.Streams, OnlyNode: only, Now: clock.now})
	f.ProbeAfter(100 * time.Millisecond)
	f.begin()
	f.unwritable("KV_belfry", "insufficient")
	becomes(t, m, `belfry_jobs_overdue{partition="0"}`, jobs)
	becomes(t, m, `belfry_timer_partition_owned{partition="0"}`, 0)
	if err := filler.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is ready again", func() bool { return f.Ready(t.Context()) == nil })
	becomes(t, m, `belfry_jobs_overdue{partition="0"}`, 0)
	becomes(t, m, `belfry_jobs_finished_total{status="published"}`, jobs)
}
