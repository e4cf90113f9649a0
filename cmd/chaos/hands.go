package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The faults here are the manual work of an operator in JetStream.

// mendWithin is how long Belfry may take to make a consumer again: seconds, or a minute
// if the node that does so was only just given that work.
const mendWithin = 2 * time.Minute

// restFires and the consumers are named as docs/nats.md says.
const restFires = "fires." + db + "." + routeREST

var consumers = []string{db + "_" + routeREST, db + "_" + routeNATS}

// insist repeats an operator's action until the servers answer: a fault may just be
// over, and a stream may have no leader.
func insist(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, mendWithin)
	defer cancel()
	for {
		try, done := context.WithTimeout(ctx, 5*time.Second)
		err := do(try)
		done()
		if err == nil || wait(ctx, 200*time.Millisecond) != nil {
			return err
		}
	}
}

// removeConsumers deletes the consumers of both routes, and waits until they exist
// again.
func (f *faulter) removeConsumers(ctx context.Context) error {
	for _, name := range consumers {
		err := insist(ctx, func(ctx context.Context) error {
			err := f.receiver.js.DeleteConsumer(ctx, "FIRES", name)
			if errors.Is(err, jetstream.ErrConsumerNotFound) {
				return nil
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("couldn't remove the consumer %s: %w", name, err)
		}
	}
	for _, name := range consumers {
		err := insist(ctx, func(ctx context.Context) error {
			_, err := f.receiver.js.Consumer(ctx, "FIRES", name)
			return err
		})
		if err != nil {
			return fmt.Errorf("the consumer %s was not made again: %w", name, err)
		}
	}
	return nil
}

// purgeFires removes the fires of the REST route, including those under way. The fires
// that a purge of the other route removed would be lost.
func (f *faulter) purgeFires(ctx context.Context) error {
	return insist(ctx, func(ctx context.Context) error {
		s, err := f.receiver.js.Stream(ctx, "FIRES")
		if err != nil {
			return err
		}
		return s.Purge(ctx, jetstream.WithPurgeSubject(restFires))
	})
}

// editStreams changes settings that Belfry restores.
func (f *faulter) editStreams(ctx context.Context) error {
	for stream, edit := range map[string]func(*jetstream.StreamConfig){
		"KV_jobs_0": func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 },
		"KV_routes": func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 2 },
		"FIRES":     func(c *jetstream.StreamConfig) { c.AllowAtomicPublish, c.MaxAge = false, 48*time.Hour },
		"DEAD":      func(c *jetstream.StreamConfig) { c.NoAck = true },
	} {
		err := insist(ctx, func(ctx context.Context) error {
			s, err := f.receiver.js.Stream(ctx, stream)
			if err != nil {
				return err
			}
			cfg := s.CachedInfo().Config
			edit(&cfg)
			_, err = f.receiver.js.UpdateStream(ctx, cfg)
			return err
		})
		if err != nil {
			return fmt.Errorf("couldn't edit the stream %s: %w", stream, err)
		}
	}
	return nil
}
