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

	"belfry/streams/wire"
)

// measureMillion is a row: the memory that a pending job takes, with the server's, and
// how soon a killed process fires on time again.
func measureMillion(ctx context.Context, b *bench) (o outcome, err error) {
	b.traced = true
	defer func() { b.traced = false }()
	jobs := b.scaled(1_000_000)
	if o.belfry, err = b.belfryWithMany(ctx).measure(ctx, jobs); err != nil {
		return o, fmt.Errorf("belfry: %w", err)
	}
	fmt.Fprintf(b.log, "  belfry %v\n", o.belfry)
	if o.native, err = b.nativeWithMany(ctx).measure(ctx, jobs); err != nil {
		return o, fmt.Errorf("nats-server: %w", err)
	}
	fmt.Fprintf(b.log, "  nats-server %v\n", o.native)
	return o, nil
}

// contestant is one system whose memory and restart are measured.
type contestant struct {
	stream string        // its fires come from it
	onTime time.Duration // the most that a fire may be late
	start  func() (*node, error)
	setup  func(*node) error
	store  func(n *node, from, to int, due func(i int) time.Time) error // jobs from..to-1
	resume func(dead *node) (*node, error)
}

func (b *bench) belfryWithMany(ctx context.Context) contestant {
	return contestant{
		stream: wire.Names("").FiresStream(), onTime: 10 * time.Millisecond,
		start: func() (*node, error) { return b.startBelfry(ctx, relaxed) },
		setup: func(n *node) error { return n.createRoute(ctx, "") },
		store: func(n *node, from, to int, due func(int) time.Time) error {
			return n.createJobs(ctx, relaxed, from, to, due)
		},
		resume: func(dead *node) (*node, error) { return b.resumeBelfry(ctx, relaxed, dead.dir, dead.nats) },
	}
}

// nativeWithMany measures native schedules, which are on time when they are within the
// server's floor.
func (b *bench) nativeWithMany(ctx context.Context) contestant {
	return contestant{
		stream: nativeStream, onTime: 260 * time.Millisecond,
		start: func() (*node, error) { return b.startServer(ctx, relaxed) },
		setup: func(n *node) error {
			return n.with(func(js jetstream.JetStream) error { return makeNative(ctx, js) })
		},
		store: func(n *node, from, to int, due func(int) time.Time) error {
			return n.with(func(js jetstream.JetStream) error {
				return publishAll(ctx, js, from, to, func(i int) *nats.Msg { return schedule(i, due(i)) })
			})
		},
		resume: func(dead *node) (*node, error) {
			_, text, _ := net.SplitHostPort(dead.nats)
			port, err := strconv.Atoi(text)
			if err != nil {
				return nil, err
			}
			return b.resumeServer(ctx, relaxed, dead.dir, port)
		},
	}
}

// measure stores that many jobs. It returns the bytes that each job takes, and the
// seconds from the kill to the first fire on time.
func (c contestant) measure(ctx context.Context, jobs int) (figures, error) {
	n, err := c.start()
	if err != nil {
		return nil, err
	}
	defer func() { n.stop() }() // stops the node that runs at the end: n is replaced below
	perJob, err := c.heapPerJob(ctx, n, jobs)
	if err != nil {
		return nil, err
	}
	_, due := beats.dues(time.Second)
	if err := c.store(n, 0, beats.jobs, due); err != nil {
		return nil, err
	}
	n.kill()
	killed := time.Now()
	again, err := c.resume(n)
	if err != nil {
		return nil, err
	}
	n = again
	back, err := c.firstOnTime(ctx, n)
	if err != nil {
		return nil, err
	}
	return figures{perJob, back.Sub(killed).Seconds()}, nil
}

// beats are due during the restart, one every 20 ms.
var beats = plan{jobs: 4000, rate: 50}

// cacheTime is longer than a server keeps blocks in memory after their use. The server
// keeps indexes of single blocks for two minutes, so the heap of a server at rest is
// smaller by another 20 B or so per job.
const cacheTime = 15 * time.Second

// heapPerJob stores jobs that are due tomorrow, and returns the bytes of memory that
// each takes.
func (c contestant) heapPerJob(ctx context.Context, n *node, jobs int) (float64, error) {
	if err := c.setup(n); err != nil {
		return 0, err
	}
	before, err := n.liveHeap(ctx)
	if err != nil {
		return 0, err
	}
	tomorrow := func(int) time.Time { return time.Now().Add(24 * time.Hour) }
	// Numbers below belong to the beats.
	if err := c.store(n, beats.jobs, beats.jobs+jobs, tomorrow); err != nil {
		return 0, err
	}
	// Blocks that were just written are still in the server's cache.
	if err := pause(ctx, cacheTime); err != nil {
		return 0, err
	}
	after, err := n.liveHeap(ctx)
	return (after - before) / float64(jobs), err
}

// firstOnTime returns when the first beat has arrived on time.
func (c contestant) firstOnTime(ctx context.Context, n *node) (at time.Time, err error) {
	js, err := n.jetStream()
	if err != nil {
		return at, err
	}
	defer js.Conn().Close()
	back := make(chan time.Time, 1)
	var once sync.Once
	t := newTally(beats.jobs)
	t.onTime = func(late time.Duration) {
		if late <= c.onTime {
			once.Do(func() { back <- time.Now() })
		}
	}
	if err := subscribe(ctx, js, c.stream, routeConsumer, t); err != nil {
		return at, err
	}
	select {
	case at = <-back:
		return at, nil
	case <-time.After(settleTime):
		return at, fmt.Errorf("nothing fired on time within %v of the restart", settleTime)
	case <-ctx.Done():
		return at, ctx.Err()
	}
}
