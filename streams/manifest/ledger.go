package manifest

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/wire"
)

// Ledger stores the manifest, which records what Belfry has created. An embedded server's
// ledger is a file beside the data.
type Ledger interface {
	// Read returns the manifest, nil if there is none, and its revision.
	Read(context.Context) (text []byte, revision uint64, err error)
	// Write stores text durably if the manifest still has that revision, and returns the
	// new revision. Otherwise it returns [ErrChanged].
	Write(ctx context.Context, text []byte, revision uint64) (uint64, error)
}

// ErrChanged means that another process has written the manifest.
var ErrChanged = errors.New("the manifest has changed")

// inBucket keeps the manifest in the bucket belfry, where all processes on one server see
// the same manifest.
type inBucket struct {
	js    jetstream.JetStream
	names wire.Names
}

// InBucket returns the ledger that the processes on one server share.
func InBucket(js jetstream.JetStream, names wire.Names) Ledger {
	return inBucket{js, names}
}

func (l inBucket) Read(ctx context.Context) ([]byte, uint64, error) {
	kv, err := l.js.KeyValue(ctx, l.names.BelfryBucket())
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("couldn't read the key %s of bucket %s: %w", wire.ManifestKey, l.names.BelfryBucket(), err)
	}
	e, err := kv.Get(ctx, wire.ManifestKey)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return nil, 0, nil
	case err != nil:
		return nil, 0, fmt.Errorf("couldn't read the key %s of bucket %s: %w", wire.ManifestKey, l.names.BelfryBucket(), err)
	}
	return e.Value(), e.Revision(), nil
}

func (l inBucket) Write(ctx context.Context, text []byte, revision uint64) (uint64, error) {
	kv, err := l.js.KeyValue(ctx, l.names.BelfryBucket())
	if err != nil {
		return 0, err
	}
	if revision == 0 {
		revision, err = kv.Create(ctx, wire.ManifestKey, text)
	} else {
		revision, err = kv.Update(ctx, wire.ManifestKey, text, revision)
	}
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return 0, ErrChanged
	}
	if err != nil {
		return 0, fmt.Errorf("couldn't write the key %s of bucket %s: %w", wire.ManifestKey, l.names.BelfryBucket(), err)
	}
	return revision, nil
}

// FileName is the name of the manifest's file beside an embedded server's
// data.
const FileName = "manifest.json"
