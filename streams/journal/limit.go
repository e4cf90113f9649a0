package journal

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
)

// MaxRoutes is how many routes there may be, since each takes one consumer of
// FIRES. It is written into the stream: without a limit of its own, a stream has
// the server's default, which is 1,000.
const MaxRoutes = 100_000

// refusedForGood lists the refusals of JetStream that last until somebody changes a
// limit. A lack of storage is not among them: it passes as fires and final states expire.
var refusedForGood = map[jetstream.ErrorCode]string{
	errCodeMaxConsumers:    "each route takes one consumer of the stream FIRES; max_consumers of the stream or of the account, or default_max_consumers of the server, says how many there may be",
	errCodeMaxStreams:      "max_streams of the account says how many streams there may be",
	errCodeMaxAckPending:   "max_ack_pending of the server or of the account is below the concurrency of the route",
	errCodeMaxStreamBytes:  "max_bytes of the stream is above what the account allows",
	errCodeMessageTooLarge: "max_msg_size of the stream says how large a message may be",
	errCodeHeaderTooLarge:  "the headers of a message are larger than the server takes",
}

const (
	errCodeMaxConsumers   = 10026
	errCodeMaxStreams     = 10027
	errCodeMaxAckPending  = 10121
	errCodeMaxStreamBytes = 10122
)

// limitError is a refusal by a limit of the server. Nothing was changed, so it is a
// [job.ErrUnavailable], too.
type limitError struct {
	doing string // what failed; may be empty
	hint  string
	cause error
}

func (e limitError) Error() string {
	if e.doing != "" {
		return fmt.Sprintf("%v: %s: %v (%s)", job.ErrLimit, e.doing, e.cause, e.hint)
	}
	return fmt.Sprintf("%v: %v (%s)", job.ErrLimit, e.cause, e.hint)
}

func (e limitError) Unwrap() []error { return []error{job.ErrLimit, job.ErrUnavailable, e.cause} }

// Limited returns the error for a permanent refusal, or nil for any other error.
func Limited(doing string, err error) error {
	if errors.Is(err, job.ErrLimit) {
		return err
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		return limitError{doing, "max_payload of the server says how large a message may be", err}
	}
	var refused *jetstream.APIError
	if errors.As(err, &refused) {
		if hint, ok := refusedForGood[refused.ErrorCode]; ok {
			return limitError{doing, hint, err}
		}
	}
	return nil
}

// Unavailable returns the error of a failed operation with its cause: a
// [job.ErrUnavailable], or a limit of the server. Nothing was changed.
func Unavailable(doing string, err error) error {
	if limit := Limited(doing, err); limit != nil {
		return limit
	}
	return fmt.Errorf("%w: %s: %w", job.ErrUnavailable, doing, err)
}
