package streams_test

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams"
)

// These are the writes that tests break, by subject prefix.
const (
	jobWrites   = "$KV.jobs_0.db."
	routeWrites = "$KV.routes."
	fireWrites  = "fires."
	deadWrites  = "dead."
)

// isWrite reports whether m goes to a subject with the prefix and, unless the status is
// empty, has a record with that status. A probe does not count.
func isWrite(m *nats.Msg, prefix string, status job.Status) bool {
	return strings.HasPrefix(m.Subject, prefix) && m.Header.Get("Belfry-Probe") == "" && (status == "" || m.Header.Get("Belfry-Status") == string(status))
}

// These are errors that a writer may get for a write that was applied.
var (
	noAnswer  = context.DeadlineExceeded
	oldLeader = &jetstream.APIError{Code: 400, ErrorCode: jetstream.JSErrCodeStreamWrongLastSequence}
	stalled   = &jetstream.APIError{Code: 503, ErrorCode: 10008}
)

// crashAt runs the store until a write to a subject with the prefix is about to be made
// (or, with after, has been made and not answered), and ends it there as a crash would.
func (f *fixture) crashAt(prefix string, status job.Status, after bool) {
	f.t.Helper()
	s := f.Store
	hit := make(chan struct{})
	s.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
		if !isWrite(m, prefix, status) {
			return send(ctx, m)
		}
		if after {
			if _, err := send(ctx, m); err != nil {
				f.t.Errorf("the write before the crash: %v", err)
			}
		}
		select {
		case hit <- struct{}{}:
		case <-ctx.Done():
		}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-hit
	eventually(f.t, "the timer owns its partition", s.Owns) // others may write before
	s.Crash()
	cancel()
	<-done
}

// loseAnswer makes the next such write get the error as its answer, whether it is applied
// or not. lost becomes true when that has happened.
func (f *fixture) loseAnswer(prefix string, status job.Status, applied bool, answer error) (lost *atomic.Bool) {
	lost = new(atomic.Bool)
	f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
		if !isWrite(m, prefix, status) || !lost.CompareAndSwap(false, true) {
			return send(ctx, m)
		}
		if applied {
			if _, err := send(ctx, m); err != nil {
				f.t.Errorf("the write was not applied: %v", err)
			}
		}
		return nil, answer
	})
	return lost
}

// refuse answers such writes with "no responders" until stop is called.
func (f *fixture) refuse(prefix string) (stop func()) {
	var stopped atomic.Bool
	f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
		if isWrite(m, prefix, "") && !stopped.Load() {
			return nil, nats.ErrNoResponders
		}
		return send(ctx, m)
	})
	return func() { stopped.Store(true) }
}
