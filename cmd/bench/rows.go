package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// How a server syncs: each write before its answer, or when it likes.
const (
	always  = "always"
	relaxed = "relaxed"
)

// row is one line of the table.
type row struct {
	name    string // for --only
	work    string
	figures string // what the figures are
	sync    string
	target  target
	measure func(context.Context, *bench) (outcome, error)
}

func rows() []row {
	var all []row
	add := func(work, figures, sync string, t target, measure func(context.Context, *bench) (outcome, error)) {
		all = append(all, row{work + ", " + sync, work, figures, sync, t, measure})
	}
	const late, burst, create = "lateness p50 / p99 / max, ms", "rate, /s / last lateness, ms", "rate, /s / p50 / p99, ms"
	none := target{}

	for _, sync := range []string{always, relaxed} {
		strict := atMost("p50 ≤ 2, p99 ≤ 6", 2, 6)
		jobs := 20_000
		if sync == relaxed {
			strict, jobs = atMost("p50 ≤ 1, p99 ≤ 3", 1, 3), 100_000
		}
		add("NATS route, 200/s", late, sync, none, measureNATS(sync, plan{600, 200}))
		add("NATS route, 1,000/s", late, sync, strict, measureNATS(sync, plan{5000, 1000}))
		add("NATS route, 20,000/s", late, sync, none, measureNATS(sync, plan{jobs, 20_000}))
	}
	for _, sync := range []string{always, relaxed} {
		strict := none
		if sync == always {
			strict = atMost("p50 ≤ 3, p99 ≤ 8", 3, 8)
		}
		add("webhooks, 200/s", late, sync, strict, measureWebhooks(sync, plan{800, 200}))
		add("webhooks, 2,000/s", late, sync, none, measureWebhooks(sync, plan{8000, 2000}))
	}
	add("burst of 10,000 NATS fires in one millisecond", burst, always, none, measureNATS(always, plan{10_000, 0}))
	add("burst of 100,000 NATS fires in one millisecond", burst, relaxed,
		target{"rate ≥ native", func(o outcome) bool { return o.belfry[0] >= o.native[0] }},
		measureNATS(relaxed, plan{100_000, 0}))
	add("burst of 20,000 webhooks in one millisecond", burst, always, atLeast("rate ≥ 8,000", 8000), measureWebhooks(always, plan{20_000, 0}))
	add("burst of 20,000 webhooks in one millisecond", burst, relaxed, atLeast("rate ≥ 12,000", 12_000), measureWebhooks(relaxed, plan{20_000, 0}))
	add("create over REST, 64 clients", create, always, atLeast("rate ≥ 8,000", 8000), measureCreate(always, 64))
	add("create over REST, 256 clients", create, always, atLeast("rate ≥ 14,000", 14_000), measureCreate(always, 256))
	add("create over REST, 64 clients", create, relaxed, none, measureCreate(relaxed, 64))
	add("create over REST, 256 clients", create, relaxed, none, measureCreate(relaxed, 256))
	add("1,000,000 pending jobs", "heap, B per job / restart after kill -9 to the first fire on time, s", relaxed,
		atMost("heap ≤ 220, restart ≤ 4", 220, 4), measureMillion)
	add("kill -9 of one of two nodes", "lateness p50 / p99 / max, ms", always,
		target{"max ≤ 4,000, none lost or twice", func(o outcome) bool { return o.belfry[2] <= 4000 }}, measureTakeover)
	return all
}

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

// measureNATS is a row: jobs of a NATS route and their subscriber, native
// schedules and theirs, and messages published at their time.
func measureNATS(synced string, p plan) func(context.Context, *bench) (outcome, error) {
	return func(ctx context.Context, b *bench) (o outcome, err error) {
		p := plan{b.scaled(p.jobs), p.rate}
		o.belfry, err = b.withBelfry(ctx, synced, func(n *node) (figures, error) {
			if err := n.createRoute(ctx, ""); err != nil {
				return nil, err
			}
			js, err := n.jetStream()
			if err != nil {
				return nil, err
			}
			defer js.Conn().Close()
			t := newTally(p.jobs)
			if err := subscribeRoute(ctx, js, t); err != nil {
				return nil, err
			}
			first, due := p.dues(ahead(synced, p.jobs))
			if err := n.createJobs(ctx, synced, 0, p.jobs, due); err != nil {
				return nil, err
			}
			if time.Now().After(first) {
				return nil, errLatePreparation
			}
			return p.run(ctx, t, first)
		})
		if err != nil {
			return o, err
		}
		o.native, err = b.withServer(ctx, synced, func(n *node, js jetstream.JetStream) (figures, error) {
			if err := makeNative(ctx, js); err != nil {
				return nil, err
			}
			t := newTally(p.jobs)
			if err := subscribe(ctx, js, nativeStream, routeConsumer, t); err != nil {
				return nil, err
			}
			first, due := p.dues(ahead(synced, p.jobs))
			if err := publishAll(ctx, js, 0, p.jobs, func(i int) *nats.Msg { return schedule(i, due(i)) }); err != nil {
				return nil, err
			}
			if time.Now().After(first) {
				return nil, errLatePreparation
			}
			return p.run(ctx, t, first)
		})
		if err != nil {
			return o, err
		}
		o.bare, err = b.withServer(ctx, synced, func(n *node, js jetstream.JetStream) (figures, error) {
			if err := makeStream(ctx, js, jetstream.StreamConfig{Name: bareStream, Subjects: []string{fired}}); err != nil {
				return nil, err
			}
			t := newTally(p.jobs)
			if err := subscribe(ctx, js, bareStream, routeConsumer, t); err != nil {
				return nil, err
			}
			first, due := p.dues(time.Second)
			if err := publishAll(ctx, js, 0, p.jobs, func(i int) *nats.Msg {
				time.Sleep(time.Until(due(i)))
				return &nats.Msg{Subject: fired, Data: meta(i, due(i))}
			}); err != nil {
				return nil, err
			}
			return p.run(ctx, t, first)
		})
		return o, err
	}
}

// measureWebhooks is a row: jobs of a REST route, and a bare POST at each time.
// JetStream has no webhooks of its own.
func measureWebhooks(synced string, p plan) func(context.Context, *bench) (outcome, error) {
	return func(ctx context.Context, b *bench) (o outcome, err error) {
		p := plan{b.scaled(p.jobs), p.rate}
		o.belfry, err = b.withBelfry(ctx, synced, func(n *node) (figures, error) {
			t := newTally(p.jobs)
			in, err := receive(t)
			if err != nil {
				return nil, err
			}
			defer in.close()
			if err := n.createRoute(ctx, in.url()); err != nil {
				return nil, err
			}
			first, due := p.dues(ahead(synced, p.jobs))
			if err := n.createJobs(ctx, synced, 0, p.jobs, due); err != nil {
				return nil, err
			}
			if time.Now().After(first) {
				return nil, errLatePreparation
			}
			return p.run(ctx, t, first)
		})
		if err != nil {
			return o, err
		}
		t := newTally(p.jobs)
		in, err := receive(t)
		if err != nil {
			return o, err
		}
		defer in.close()
		first, due := p.dues(500 * time.Millisecond)
		if err := postAll(ctx, in.url(), p.jobs, due); err != nil {
			return o, err
		}
		o.bare, err = p.run(ctx, t, first)
		return o, err
	}
}
