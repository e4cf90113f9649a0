package main

import (
	"context"
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
