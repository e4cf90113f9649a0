package main

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// measureCreate is a row: many clients create jobs that are due in an hour. Native
// clients publish schedules and wait for each answer. The bare limit is the fastest way
// to store as many at once: the same publishes of plain messages or, for a server that
// syncs each write, atomic batches of as many messages, one after the other.
func measureCreate(synced string, clients int) func(context.Context, *bench) (outcome, error) {
	return func(ctx context.Context, b *bench) (o outcome, err error) {
		span := 5 * time.Second / time.Duration(max(b.part, 1))
		due := time.Now().Add(time.Hour)
		o.belfry, err = b.withBelfry(ctx, synced, func(n *node) (figures, error) {
			if err := n.createRoute(ctx, ""); err != nil {
				return nil, err
			}
			return hammer(ctx, clients, span, func() (func(int) error, error) { return n.restClient(due) })
		})
		if err != nil {
			return o, err
		}
		o.native, err = b.withServer(ctx, synced, func(n *node, js jetstream.JetStream) (figures, error) {
			if err := makeNative(ctx, js); err != nil {
				return nil, err
			}
			return hammer(ctx, clients, span, func() (func(int) error, error) {
				return func(i int) error {
					_, err := js.PublishMsg(ctx, schedule(i, due))
					return err
				}, nil
			})
		})
		if err != nil {
			return o, err
		}
		o.bare, err = b.withServer(ctx, synced, func(n *node, js jetstream.JetStream) (figures, error) {
			if _, err := js.CreateStream(ctx, jetstream.StreamConfig{
				Name: bareStream, Subjects: []string{"bare.>"}, AllowAtomicPublish: true,
			}); err != nil {
				return nil, err
			}
			message := func(i int) *nats.Msg {
				return &nats.Msg{Subject: "bare." + jobID(i), Header: nats.Header{}, Data: meta(i, due)}
			}
			if synced == relaxed {
				return hammer(ctx, clients, span, func() (func(int) error, error) {
					return func(i int) error {
						_, err := js.PublishMsg(ctx, message(i))
						return err
					}, nil
				})
			}
			f, err := hammer(ctx, 1, span, func() (func(int) error, error) {
				return func(i int) error {
					batch := make([]*nats.Msg, clients)
					for k := range batch {
						batch[k] = message(i*clients + k)
					}
					_, err := jetstreamext.PublishMsgBatch(ctx, js, batch, jetstreamext.BatchFlowControl{})
					return err
				}, nil
			})
			if err != nil {
				return nil, err
			}
			f[0] *= float64(clients)
			return f, nil
		})
		return o, err
	}
}
