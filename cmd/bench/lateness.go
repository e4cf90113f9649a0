package main

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

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
			return p.play(ctx, t, ahead(synced, p.jobs), func(due func(int) time.Time) error {
				return n.createJobs(ctx, synced, 0, p.jobs, due)
			})
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
			return p.play(ctx, t, ahead(synced, p.jobs), func(due func(int) time.Time) error {
				return publishAll(ctx, js, 0, p.jobs, func(i int) *nats.Msg { return schedule(i, due(i)) })
			})
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
