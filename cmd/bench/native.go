package main

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/wire"
)

// subscribe hands every message of the consumer to the tally, and acks it.
func subscribe(ctx context.Context, js jetstream.JetStream, stream, consumer string, t *tally) error {
	c, err := js.Consumer(ctx, stream, consumer)
	if err != nil {
		return err
	}
	_, err = c.Consume(func(m jetstream.Msg) {
		t.arrived(m.Data())
		_ = m.Ack() // if the ack fails, the message comes again and is counted
	}, jetstream.PullMaxMessages(1000))
	return err
}

// routeConsumer is the consumer of the route.
const routeConsumer = benchDB + "_" + benchRoute

// These are the plain streams of the other contestants.
const (
	nativeStream = "NATIVE"
	bareStream   = "BARE"
	fired        = "fired"
)

// makeNative makes a stream for schedules, and the consumer of the messages they fire.
func makeNative(ctx context.Context, js jetstream.JetStream) error {
	return makeStream(ctx, js, jetstream.StreamConfig{
		Name: nativeStream, Subjects: []string{"at.>", fired}, AllowMsgSchedules: true,
	})
}

func makeStream(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
	if _, err := js.CreateStream(ctx, cfg); err != nil {
		return err
	}
	_, err := js.CreateConsumer(ctx, cfg.Name, jetstream.ConsumerConfig{
		Durable: routeConsumer, FilterSubject: fired, AckPolicy: jetstream.AckExplicitPolicy,
	})
	return err
}

// schedule is the native form of a job. nats.go would truncate its time to seconds.
func schedule(i int, due time.Time) *nats.Msg {
	return &nats.Msg{
		Subject: "at." + jobID(i),
		Header: nats.Header{
			"Nats-Schedule":        {"@at " + due.UTC().Format(time.RFC3339Nano)},
			"Nats-Schedule-Target": {fired},
		},
		Data: meta(i, due),
	}
}

// publishAll publishes from..to-1 without waiting for each.
func publishAll(ctx context.Context, js jetstream.JetStream, from, to int, message func(i int) *nats.Msg) error {
	for i := from; i < to; i++ {
		for {
			_, err := js.PublishMsgAsync(message(i))
			if err == nil {
				break
			}
			if err != jetstream.ErrTooManyStalledMsgs {
				return err
			}
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// subscribeRoute subscribes to a Belfry's fires.
func subscribeRoute(ctx context.Context, js jetstream.JetStream, t *tally) error {
	return subscribe(ctx, js, wire.Names("").FiresStream(), routeConsumer, t)
}
