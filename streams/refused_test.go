package streams_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams"
)

// repeatWrites makes each write of a job reach the server twice: the first copy is
// applied and its answer is lost, and so the second is refused. It returns how many were
// refused.
func (f *fixture) repeatWrites() (refused *atomic.Int64) {
	refused = new(atomic.Int64)
	f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
		ack, err := send(ctx, m)
		if err != nil || !strings.HasPrefix(m.Subject, jobWrites) || m.Header.Get("Belfry-Status") == "" {
			return ack, err
		}
		ack, err = send(ctx, m)
		var refusal *jetstream.APIError
		if !errors.As(err, &refusal) || refusal.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence {
			f.t.Errorf("the second copy of a write of %s: %v, want it refused", m.Subject, err)
		}
		refused.Add(1)
		return ack, err
	})
	return refused
}

// A write that is refused though it was applied counts as applied, whoever made it. No
// answer says that another write came first.
func TestRefusedButApplied(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("nats", job.NATS)
	f.route("rest", job.REST)
	refused := f.repeatWrites()
	became := func(what string, j job.Job, writes int64, want job.Status) job.Record {
		t.Helper()
		r := f.get(j.Key)
		if r.Status != want {
			t.Errorf("after %s the job is %s, want %s", what, r.Status, want)
		}
		eventually(t, "the writes are refused", func() bool { return refused.Load() >= writes })
		if got := refused.Swap(0); got != writes {
			t.Errorf("for %s %d writes were refused, want %d", what, got, writes)
		}
		return r
	}

	far := newJob("far", "nats", time.Now().Add(time.Hour))
	f.create(far)
	made := became("a create", far, 1, job.Scheduled)
	far.Meta = []byte(`"changed"`)
	if err := f.Jobs().Update(t.Context(), far, made.Revision); err != nil {
		t.Errorf("PUT for revision %d: %v", made.Revision, err)
	}
	changed := became("a PUT", far, 1, job.Scheduled)
	if string(changed.Meta) != `"changed"` || changed.Replaces.Seq != made.Revision {
		t.Errorf("after a PUT the job has %s over revision %d, want the change over %d, once", changed.Meta, changed.Replaces.Seq, made.Revision)
	}
	if err := f.Jobs().Cancel(t.Context(), far.Key, changed.Revision); err != nil {
		t.Errorf("DELETE for revision %d: %v", changed.Revision, err)
	}
	became("a DELETE", far, 1, job.Cancelled)

	// Now the timer and the worker write: a claim and the end of its fire.
	f.run()
	native := newJob("native", "nats", time.Now())
	f.create(native)
	f.reaches(native.Key, job.Published)
	became("a fire of a NATS route", native, 3, job.Published)
	hook := newJob("hook", "rest", time.Now())
	f.create(hook)
	h := f.fetch("rest")
	if r := became("a claim", hook, 2, job.Firing); h.Claim != r.Revision {
		t.Errorf("the fire is of claim %d, want %d, which is stored", h.Claim, r.Revision)
	}
	for _, step := range []struct {
		res  job.Result
		want job.Status
	}{
		{job.Result{Status: job.Scheduled, RetryAt: time.Now().Add(time.Hour).UnixMilli()}, job.Scheduled},
		{job.Result{Status: job.Delivered}, job.Scheduled}, // for the fire that was put back
	} {
		if err := f.Jobs().Finish(t.Context(), h.Fire, step.res); err != nil {
			t.Errorf("Finish with %s: %v", step.res.Status, err)
		}
	}
	if r := became("a put back", hook, 1, job.Scheduled); r.Attempt != 0 || r.FireID != h.FireID {
		t.Errorf("put back to attempt %d of %s, want 0 of %s", r.Attempt, r.FireID, h.FireID)
	}
	if err := f.Jobs().Fire(t.Context(), hook.Key); err != nil {
		t.Errorf("fire now: %v", err)
	}
	h = f.fetch("rest")
	if err := f.Jobs().Finish(t.Context(), h.Fire, job.Result{Status: job.Dead, Reason: job.ReasonGone}); err != nil {
		t.Errorf("Finish with dead: %v", err)
	}
	became("a death", hook, 3, job.Dead)
	if got := len(f.messages("FIRES", "fires.>")); got != 3 {
		t.Errorf("%d fires, want one for each of 3 claims", got)
	}
	if got := len(f.messages("DEAD", "dead.>")); got != 1 {
		t.Errorf("%d dead letters, want 1", got)
	}
}
