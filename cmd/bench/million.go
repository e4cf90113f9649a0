package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams"
)

// measureMillion is a row: what a pending job takes in memory, server and all,
// and how soon a process that was killed fires on time again.
func measureMillion(ctx context.Context, b *bench) (o outcome, err error) {
	b.traced = true
	defer func() { b.traced = false }()
	jobs := b.scaled(1_000_000)
	far := func(int) time.Time { return time.Now().Add(24 * time.Hour) }

	n, err := b.startBelfry(ctx, relaxed)
	if err != nil {
		return o, err
	}
	o.belfry, n, err = heapAndRestart(ctx, n, jobs, streams.FiresStream, 10*time.Millisecond,
		func(n *node) error { return n.createRoute(ctx, "") },
		func(n *node, from, to int, due func(int) time.Time) error {
			if due == nil {
				due = far
			}
			return n.createJobs(ctx, relaxed, from, to, due)
		},
		func(dead *node) (*node, error) { return b.resumeBelfry(ctx, relaxed, dead.dir, dead.nats) })
	n.stop()
	if err != nil {
		return o, fmt.Errorf("belfry: %w", err)
	}
	fmt.Fprintf(b.log, "  belfry %v\n", o.belfry)

	if n, err = b.startServer(ctx, relaxed); err != nil {
		return o, err
	}
	// Native schedules are on time when they are within the server's floor.
	o.native, n, err = heapAndRestart(ctx, n, jobs, nativeStream, 260*time.Millisecond,
		func(n *node) error { return n.with(func(js jetstream.JetStream) error { return makeNative(ctx, js) }) },
		func(n *node, from, to int, due func(int) time.Time) error {
			if due == nil {
				due = far
			}
			return n.with(func(js jetstream.JetStream) error {
				return publishAll(ctx, js, from, to, func(i int) *nats.Msg { return schedule(i, due(i)) })
			})
		},
		func(dead *node) (*node, error) {
			_, text, _ := net.SplitHostPort(dead.nats)
			port, err := strconv.Atoi(text)
			if err != nil {
				return nil, err
			}
			return b.resumeServer(ctx, relaxed, dead.dir, port)
		})
	n.stop()
	if err != nil {
		return o, fmt.Errorf("nats-server: %w", err)
	}
	fmt.Fprintf(b.log, "  nats-server %v\n", o.native)
	return o, nil
}

// beats are due during the restart, one each 20 ms.
var beats = plan{jobs: 4000, rate: 50}

// cacheTime is longer than a server keeps blocks in memory after their use. Its
// indexes of single blocks it keeps for two minutes, so that the heap of one
// that rests is smaller yet by some 20 B per job.
const cacheTime = 15 * time.Second

// heapAndRestart measures both on n, and returns the node that runs at the
// end. store stores the jobs from..to-1, for tomorrow if due is nil.
func heapAndRestart(
	ctx context.Context, n *node, jobs int, stream string, onTime time.Duration,
	setup func(*node) error,
	store func(n *node, from, to int, due func(int) time.Time) error,
	resume func(*node) (*node, error),
) (figures, *node, error) {
	if err := setup(n); err != nil {
		return nil, n, err
	}
	before, err := n.liveHeap(ctx)
	if err != nil {
		return nil, n, err
	}
	// Numbers below belong to the beats.
	if err := store(n, beats.jobs, beats.jobs+jobs, nil); err != nil {
		return nil, n, err
	}
	// Blocks that were written a moment ago are still in the server's cache.
	if err := pause(ctx, cacheTime); err != nil {
		return nil, n, err
	}
	after, err := n.liveHeap(ctx)
	if err != nil {
		return nil, n, err
	}
	_, due := beats.dues(time.Second)
	if err := store(n, 0, beats.jobs, due); err != nil {
		return nil, n, err
	}
	n.kill()
	dead := n
	start := time.Now()
	n, err = resume(dead)
	if err != nil {
		return nil, dead, err
	}
	js, err := n.jetStream()
	if err != nil {
		return nil, n, err
	}
	defer js.Conn().Close()
	back := make(chan time.Duration, 1)
	var once sync.Once
	t := newTally(beats.jobs)
	t.onTime = func(late time.Duration) {
		if late <= onTime {
			once.Do(func() { back <- time.Since(start) })
		}
	}
	if err := subscribe(ctx, js, stream, routeConsumer, t); err != nil {
		return nil, n, err
	}
	select {
	case took := <-back:
		return figures{(after - before) / float64(jobs), took.Seconds()}, n, nil
	case <-time.After(settleTime):
		return nil, n, fmt.Errorf("nothing fired on time within %v of the restart", settleTime)
	case <-ctx.Done():
		return nil, n, ctx.Err()
	}
}
