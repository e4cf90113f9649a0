package streams_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams"
)

// The outcome of a write whose answer was lost is resolved and reported.
func TestLostAnswers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		applied bool // the lost answer's write reached the stream
	}{{"applied", true}, {"not applied", false}} {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t, streams.Config{})
			f.route("r", job.NATS)
			lose := func() { f.loseAnswer(jobWrites, "", tt.applied, noAnswer) }
			j := newJob("a", "r", time.Now().Add(time.Hour))

			lose()
			f.create(j)
			if r := f.get(j.Key); r.Status != job.Scheduled {
				t.Errorf("after create: %s", r.Status)
			}
			j.Meta = []byte(`"changed"`)
			lose()
			if err := f.Jobs().Update(t.Context(), j, 0); err != nil {
				t.Errorf("update: %v", err)
			}
			if r := f.get(j.Key); string(r.Meta) != `"changed"` {
				t.Errorf("after update: meta %s", r.Meta)
			}
			lose()
			if err := f.Jobs().Cancel(t.Context(), j.Key, 0); err != nil {
				t.Errorf("cancel: %v", err)
			}
			if r := f.get(j.Key); r.Status != job.Cancelled {
				t.Errorf("after cancel: %s", r.Status)
			}
		})
	}
}

// A write was applied while its answer was lost, and was overtaken before it could be
// settled.
func TestLostAnswerOvertaken(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	j := newJob("a", "r", time.Now().Add(time.Hour))
	var next atomic.Pointer[func()]
	overtake := func(do func()) { next.Store(&do) }
	f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
		ack, err := send(ctx, m)
		if !isWrite(m, jobWrites, "") || isWrite(m, jobWrites, job.Firing) {
			return ack, err // nodes, clocks and fences are written meanwhile, too
		}
		if do := next.Swap(nil); do != nil {
			(*do)()
			return nil, context.DeadlineExceeded
		}
		return ack, err
	})

	// A create that fires and finishes before it is settled was applied.
	f.run()
	now := j
	now.Trigger = time.Now().UnixMilli()
	overtake(func() { f.reaches(j.Key, job.Published) })
	f.create(now)

	// A cancel that is overtaken by a new creation looks the same as one that came too
	// late.
	f.create(j)
	overtake(func() {
		if err := f.Jobs().Create(t.Context(), now); err != nil {
			t.Error(err)
		}
	})
	if err := f.Jobs().Cancel(t.Context(), j.Key, 0); !errors.Is(err, job.ErrUnknownOutcome) {
		t.Errorf("cancel that was overtaken: %v, want ErrUnknownOutcome", err)
	}
}

// Without JetStream no answer claims that anything is stored.
func TestUnavailable(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	f.refuse("")
	j := newJob("a", "r", time.Now())
	if err := f.Jobs().Create(t.Context(), j); !errors.Is(err, job.ErrUnavailable) {
		t.Errorf("create with nobody there: %v, want ErrUnavailable", err)
	}
	f.Intercept(func(context.Context, *nats.Msg, streams.PublishFunc) (*jetstream.PubAck, error) {
		return nil, context.DeadlineExceeded
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := f.Jobs().Create(ctx, j); !errors.Is(err, job.ErrUnknownOutcome) {
		t.Errorf("create without an answer in time: %v, want ErrUnknownOutcome", err)
	}
}

// A route's content tells whether a write whose answer was lost was applied.
func TestRoutesLostAnswers(t *testing.T) {
	for _, applied := range []bool{true, false} {
		f := open(t, streams.Config{})
		r := job.Route{RouteKey: job.RouteKey{DB: "db", ID: "r"}, Type: job.REST, WebhookURL: "host"}
		for _, step := range []struct {
			name string
			do   func() error
		}{
			{"create", func() error { return f.Routes().Create(t.Context(), r) }},
			{"replace", func() error { r.WebhookURL = "other"; return f.Routes().Replace(t.Context(), r, 0) }},
			{"rotate", func() error {
				got, err := f.Routes().Rotate(t.Context(), r.RouteKey, secretA, time.Hour)
				if err == nil && (got.Secret != secretA || len(got.OldSecrets) != 0) {
					t.Errorf("applied %v: rotated to %+v, want one secret", applied, got.Policy)
				}
				return err
			}},
			{"rotate again", func() error {
				got, err := f.Routes().Rotate(t.Context(), r.RouteKey, secretB, time.Hour)
				if err == nil && (got.Secret != secretB || len(got.OldSecrets) != 1) {
					t.Errorf("applied %v: rotated to %+v, want one old secret", applied, got.Policy)
				}
				return err
			}},
			{"delete", func() error { return f.Routes().Delete(t.Context(), r.RouteKey, 0) }},
		} {
			lost := f.loseAnswer(routeWrites, "", applied, noAnswer)
			if err := step.do(); err != nil {
				t.Errorf("applied %v: %s: %v", applied, step.name, err)
			}
			if !lost.Load() {
				t.Errorf("applied %v: %s lost no answer", applied, step.name)
			}
		}
	}
}

// A route write was applied while its answer was lost, and then the store was lost. No
// answer may say that nothing was changed.
func TestRouteOutcomeUnknown(t *testing.T) {
	f := open(t, streams.Config{})
	f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
		if !isWrite(m, routeWrites, "") {
			return send(ctx, m)
		}
		if _, err := send(ctx, m); err != nil {
			t.Errorf("the write was not applied: %v", err)
		}
		f.server.Stop()
		return nil, noAnswer
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := f.Routes().Create(ctx, job.Route{RouteKey: job.RouteKey{DB: "db", ID: "r"}, Type: job.NATS})
	if !errors.Is(err, job.ErrUnknownOutcome) || errors.Is(err, job.ErrUnavailable) {
		t.Errorf("create: %v, want ErrUnknownOutcome alone", err)
	}
}
