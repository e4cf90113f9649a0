package journal

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// codeUnavailable is the code of JetStream errors that pass by themselves; see also
// ErrCodeNoPeers.
const codeUnavailable = 503

// IsPassing reports whether an error of JetStream's API may pass by itself.
func IsPassing(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) ||
		// These come from a server that has not heard yet of an asset that was just
		// created.
		errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrBucketNotFound) ||
		errors.Is(err, jetstream.ErrStreamNotFound) ||
		errors.As(err, &api) && (api.Code == codeUnavailable || api.ErrorCode == ErrCodeNoPeers)
}
