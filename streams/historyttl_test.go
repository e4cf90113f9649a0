package streams_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams"
)

// expired reports whether there is no record of any job.
func (f *fixture) expired() bool { return f.hasSubjects("KV_jobs_0", jobWrites+">", 0) }

// A death whose answer was lost, in an outage longer than the final state is kept, still
// has its dead letter.
func TestFinalStateExpiresUnsettled(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{HistoryTTL: time.Second})
	f.route("r", job.REST)
	stop := f.run()
	f.create(newJob("a", "r", time.Now()))
	h := f.fetch("r")
	stop()

	// It doesn't run, and its clock is two minutes ahead.
	f.reopen(streams.Config{HistoryTTL: time.Second, Now: func() time.Time { return time.Now().Add(2 * time.Minute) }})
	lost := f.loseAnswer(jobWrites, job.Dead, true, noAnswer)
	f.InterceptReads(func(m *nats.Msg) *nats.Msg {
		if lost.Load() {
			eventually(t, "the final state expires", f.expired)
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 { // the second time as a repeat, which is refused
		if err := f.Jobs().Finish(ctx, h.Fire, job.Result{Status: job.Dead, Reason: job.ReasonGone, Detail: "status 410"}); err != nil {
			t.Errorf("finish: %v", err)
		}
	}
	if got := f.messages("DEAD", "dead.>"); len(got) != 1 {
		t.Errorf("%d dead letters, want 1", len(got))
	}
}

// An id's last final state expires just before the id is armed again.
func TestFinalStateExpiresBeforeRearm(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{HistoryTTL: 2 * time.Second}) // less than a write waits for its answer
	f.route("r", job.NATS)
	var cancelled atomic.Uint64 // the revision
	var over atomic.Bool
	f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
		if last := cancelled.Load(); last > 0 && isWrite(m, jobWrites, job.Scheduled) &&
			m.Header.Get("Nats-Expected-Last-Subject-Sequence") == fmt.Sprint(last) {
			for !f.expired() && t.Context().Err() == nil {
				time.Sleep(20 * time.Millisecond) // between two looks
			}
			over.Store(true)
		}
		ack, err := send(ctx, m)
		if isWrite(m, jobWrites, job.Cancelled) {
			cancelled.Store(ack.Sequence)
		}
		return ack, err
	})
	j := newJob("a", "r", farOff)
	f.create(j)
	if err := f.Jobs().Cancel(t.Context(), j.Key, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := f.Jobs().Create(ctx, j); err != nil {
		t.Fatalf("create over a final state that expires: %v", err)
	}
	if r := f.get(j.Key); r.Status != job.Scheduled || !over.Load() {
		t.Errorf("the job is %s, written over its final state: %v; want scheduled, and so", r.Status, over.Load())
	}
}
