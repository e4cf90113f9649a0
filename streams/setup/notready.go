package setup

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// errCodeMaxBytesRequired means that the account accepts no stream without max_bytes.
const errCodeMaxBytesRequired = 10113

// ErrMaxBytesRequired means that JetStream's account has max_bytes_required, and the
// [asset.Set] has no MaxBytes. An operator has to set it.
var ErrMaxBytesRequired = errors.New("the account of Belfry takes no stream without max_bytes (max_bytes_required)")

// WhyNotReady adds to an error of JetStream's API what it means, if its text does not say
// so, and what to do.
func WhyNotReady(err error) error {
	var api *jetstream.APIError
	isAPI := errors.As(err, &api)
	switch {
	case err == nil:
		return nil
	case isAPI && api.ErrorCode == errCodeMaxBytesRequired:
		return fmt.Errorf("%w: %w", ErrMaxBytesRequired, err)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse),
		isAPI && (api.ErrorCode == jetstream.JSErrCodeJetStreamNotEnabled || api.ErrorCode == jetstream.JSErrCodeJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w: JetStream is turned off on this server or for this account, or its cluster is not complete yet; start nats-server with --jetstream, and give the account JetStream", err)
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: JetStream does not answer: its cluster has no leader, or Belfry's user may not use $JS.API.>", err)
	}
	return err
}
