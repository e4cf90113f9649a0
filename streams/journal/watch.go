package journal

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/loglimit"
	"belfry/internal/panics"
)

// WatchKeys hands the entries of a bucket whose keys match to visit: the present ones
// first, then nil, then each change, until ctx ends. After an error it begins anew.
// panicked counts the panics of visit.
func WatchKeys(ctx context.Context, js jetstream.JetStream, log *slog.Logger, panicked func(), bucket, keys string, visit func(jetstream.KeyValueEntry)) {
	RetryForever(ctx, 50*time.Millisecond, 2*time.Second, func(ctx context.Context) error {
		return watchKeysOnce(ctx, js, bucket, keys, func(e jetstream.KeyValueEntry) {
			defer panics.Recover(log, "an entry of the bucket "+bucket, panicked)
			visit(e)
		})
	}, func(err error) {
		loglimit.Warn(log, "the watch of a bucket broke", "bucket", bucket, "error", err)
	})
}

func watchKeysOnce(ctx context.Context, js jetstream.JetStream, bucket, keys string, visit func(jetstream.KeyValueEntry)) error {
	kv, err := js.KeyValue(ctx, bucket)
	if err != nil {
		return err
	}
	w, err := kv.Watch(ctx, keys)
	if err != nil {
		return err
	}
	// Stop runs in its own goroutine, since without a connection it waits for an answer.
	// At worst the server drops the watch by itself.
	defer func() { go w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, open := <-w.Updates():
			if !open {
				return errors.New("it was closed")
			}
			visit(e)
		}
	}
}
