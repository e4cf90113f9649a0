package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// withBelfry measures on a new belfry.
func (b *bench) withBelfry(ctx context.Context, synced string, measure func(*node) (figures, error)) (figures, error) {
	n, err := b.startBelfry(ctx, synced)
	if err != nil {
		return nil, err
	}
	f, err := measure(n)
	n.stop()
	if err != nil {
		return nil, fmt.Errorf("belfry: %w", err)
	}
	fmt.Fprintf(b.log, "  belfry %v (%.1f s of CPU)\n", f, n.cpu())
	return f, nil
}

// withServer measures on a new nats-server.
func (b *bench) withServer(ctx context.Context, synced string, measure func(*node, jetstream.JetStream) (figures, error)) (figures, error) {
	n, err := b.startServer(ctx, synced)
	if err != nil {
		return nil, err
	}
	var f figures
	err = n.with(func(js jetstream.JetStream) (err error) {
		f, err = measure(n, js)
		return err
	})
	n.stop()
	if err != nil {
		return nil, fmt.Errorf("nats-server: %w", err)
	}
	fmt.Fprintf(b.log, "  nats-server %v (%.1f s of CPU)\n", f, n.cpu())
	return f, nil
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settleTime is how long all may take to arrive after the last is due.
const settleTime = 90 * time.Second

// ahead is how long before the first is due the creating of jobs begins. It
// must be done by then, or the row fails.
func ahead(synced string, jobs int) time.Duration {
	perSecond := 8000
	if synced == always {
		perSecond = 2000 // a sync each, for native schedules
	}
	return 4*time.Second + time.Duration(jobs)*time.Second/time.Duration(perSecond)
}

// dues returns the due times of a plan whose first job is so far ahead.
func (p plan) dues(ahead time.Duration) (first time.Time, due func(int) time.Time) {
	first = time.Now().Add(ahead).Truncate(time.Millisecond)
	return first, func(i int) time.Time { return p.due(first, i) }
}

var errLatePreparation = errors.New("the jobs could not be created before they were due")

// play has prepare create all jobs of a plan so long before the first is due,
// and returns its row's figures when all have arrived.
func (p plan) play(ctx context.Context, t *tally, ahead time.Duration, prepare func(due func(i int) time.Time) error) (figures, error) {
	first, due := p.dues(ahead)
	if err := prepare(due); err != nil {
		return nil, err
	}
	if time.Now().After(first) {
		return nil, errLatePreparation
	}
	return p.run(ctx, t, first)
}

// run waits for all jobs of a plan, the first of which is due at first, and
// returns its row's figures.
func (p plan) run(ctx context.Context, t *tally, first time.Time) (figures, error) {
	span := time.Until(p.due(first, p.jobs-1))
	if err := t.wait(ctx, span+settleTime); err != nil {
		return nil, err
	}
	if p.rate == 0 {
		return t.burst(first), nil
	}
	return t.lateness(), nil
}
