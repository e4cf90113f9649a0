package streams_test

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams"
)

const (
	jobWrites  = "$KV.jobs_0.db."
	fireWrites = "fires."
	deadWrites = "dead."
)

// What a writer can be told of a write that was applied.
var (
	noAnswer  = context.DeadlineExceeded
	oldLeader = &jetstream.APIError{Code: 400, ErrorCode: jetstream.JSErrCodeStreamWrongLastSequence}
	stalled   = &jetstream.APIError{Code: 503, ErrorCode: 10008}
)

// crashAt runs the store until a write to a subject with the prefix is about
// to be made (or, with after, has been made and not answered), and ends it
// there as a crash would.
func (f *fixture) crashAt(prefix string, status job.Status, after bool) {
	f.t.Helper()
	s := f.Store
	hit := make(chan struct{})
	s.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
		if !strings.HasPrefix(m.Subject, prefix) || status != "" && m.Header.Get("Belfry-Status") != string(status) {
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
	s.Crash()
	cancel()
	<-done
}
