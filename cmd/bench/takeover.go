package main

import (
	"context"
	"fmt"
	"time"
)

// measureTakeover is a row: two belfry nodes share the partitions of one nats-server,
// and one of them is killed while jobs come due on all partitions.
func measureTakeover(ctx context.Context, b *bench) (o outcome, err error) {
	ns, err := b.startServer(ctx, always)
	if err != nil {
		return o, err
	}
	defer ns.stop()
	first, err := b.startBelfryOn(ctx, ns.nats)
	if err != nil {
		return o, err
	}
	killed := false
	defer func() {
		if !killed {
			first.stop()
		}
	}()
	second, err := b.startBelfryOn(ctx, ns.nats)
	if err != nil {
		return o, err
	}
	defer second.stop()
	// A node logs a line for each partition that it begins to fire; there are 8.
	if err := second.waitSaid(ctx, "firing", 4); err != nil {
		return o, err
	}
	if err := first.createRoute(ctx, ""); err != nil {
		return o, err
	}
	js, err := ns.jetStream()
	if err != nil {
		return o, err
	}
	defer js.Conn().Close()
	p := plan{jobs: 2400, rate: 200}
	t := newTally(p.jobs)
	if err := subscribeRoute(ctx, js, t); err != nil {
		return o, err
	}
	begin, due := p.dues(ahead(always, p.jobs))
	if err := ns.createJobs(ctx, always, 0, p.jobs, due); err != nil {
		return o, err
	}
	if err := pause(ctx, time.Until(begin.Add(3*time.Second))); err != nil {
		return o, err
	}
	first.kill()
	killed = true
	if o.belfry, err = p.run(ctx, t, begin); err != nil {
		return o, fmt.Errorf("belfry: %w", err)
	}
	fmt.Fprintf(b.log, "  belfry %v\n", o.belfry)
	return o, nil
}
