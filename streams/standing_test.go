package streams_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams"
)

// The record by which a worker judges a fire has the due time, whichever source answers.
func TestStandingTellsDue(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.REST)
	f.run()
	j := newJob("j", "r", time.Now().Add(-time.Minute))
	f.create(j)
	fires := make(chan job.Handover, 1)
	if err := f.Inboxes().Fetch(t.Context(), j.RouteKey(), 1, 10*time.Second, func(h job.Handover) { fires <- h }); err != nil {
		t.Fatal(err)
	}
	fire := (<-fires).Fire
	for _, times := range []int{1, 2} { // by the timer's book or a replica, and by the leader
		fire.Times = times
		st, r, err := f.Jobs().Standing(t.Context(), fire)
		if err != nil || st != job.Valid || r.Replaces.Due != j.Trigger {
			t.Errorf("handed out %d times: %v, due %d, %v; want valid and due %d", times, st, r.Replaces.Due, err, j.Trigger)
		}
	}
}

// A result that is written again, because its dead letter is missing, is not mistaken for
// another one because a replica has not seen the death yet.
func TestFinishAgainAsksTheLeader(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.route("r", job.REST)
	stop := f.run()
	f.create(newJob("a", "r", time.Now()))
	h := f.fetch("r")
	stop()

	const get = "$JS.API.DIRECT.GET.KV_jobs_0." + jobWrites + "coll.a"
	claim, err := f.nc.Request(get, nil, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	f.reopen(streams.Config{}) // it doesn't run, so its timer has seen nothing
	f.InterceptReads(func(m *nats.Msg) *nats.Msg {
		if m.Subject != get {
			return nil
		}
		return &nats.Msg{Header: claim.Header, Data: claim.Data}
	})
	failed := false
	f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
		if !failed && strings.HasPrefix(m.Subject, deadWrites) {
			failed = true
			return nil, errors.New("no answer")
		}
		return send(ctx, m)
	})
	dead := job.Result{Status: job.Dead, Reason: job.ReasonExhausted, Detail: "status 500"}
	if err := f.Jobs().Finish(t.Context(), h.Fire, dead); !errors.Is(err, job.ErrUnavailable) {
		t.Fatalf("finish without the dead letter: %v, want ErrUnavailable", err)
	}
	if err := f.Jobs().Finish(t.Context(), h.Fire, dead); err != nil {
		t.Errorf("finish again: %v", err)
	}
	if got := f.messages("DEAD", "dead.>"); len(got) != 1 {
		t.Errorf("%d dead letters, want 1", len(got))
	}
}
