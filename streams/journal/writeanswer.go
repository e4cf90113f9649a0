package journal

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
)

// writeAnswer is what the answer to a write says about its stream.
type writeAnswer int

const (
	saysNothing   writeAnswer = iota
	isStored                  // it was stored
	saysOfMessage             // it was refused because of the message
	IsRefused                 // the stream accepts no writes
	noLeader                  // nobody accepted it, as in an election
	noAnswer
)

// These refusals pass by themselves, as in an election, or concern only one message or
// its batch.
var (
	passingRefusals = []jetstream.ErrorCode{
		10008, 10009, ErrCodeNoPeers,
		10163, // a new leader cannot compare yet
		10210, // too many batches are under way
	}
	messageRefusals = []jetstream.ErrorCode{
		errCodeHeaderTooLarge, 10164, 10165, // too large, in flight, an invalid TTL
		10158,                                                  // another message with this id is under way
		10174, 10175, 10176, 10177, 10179, 10199, 10200, 10201, // about the batch
		jetstream.JSErrCodeStreamWrongLastSequence, 10070, 10072,
	}
)

func answerKind(err error) writeAnswer {
	var refused *jetstream.APIError
	switch {
	case err == nil:
		return isStored
	case errors.Is(err, ErrNotConnected), errors.Is(err, nats.ErrMaxPayload), errors.Is(err, errNotSent), errors.Is(err, job.ErrUnavailable),
		errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, context.Canceled):
		return saysNothing
	case errors.As(err, &refused) && slices.Contains(messageRefusals, refused.ErrorCode):
		return saysOfMessage
	case errors.As(err, &refused) && slices.Contains(passingRefusals, refused.ErrorCode):
		return noLeader
	case errors.As(err, &refused), errors.Is(err, errOtherStream):
		return IsRefused
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return noLeader
	}
	return noAnswer
}

// tooLarge reports whether a stream refuses a message because of its size.
func tooLarge(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && refused.ErrorCode == errCodeMessageTooLarge
}

// isFull reports whether a stream has reached a limit of its own.
func isFull(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && refused.ErrorCode == ErrCodeStoreFailed
}

// ErrCodeStoreFailed means that max_bytes or max_msgs is reached; the text names the
// limit.
const ErrCodeStoreFailed = 10077

// isShort reports whether a server has no storage left for any stream.
func isShort(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && (refused.ErrorCode == 10023 || refused.ErrorCode == 10047)
}

// ErrCodeNoPeers passes by itself: a server that has just joined may not count as a peer
// yet.
const ErrCodeNoPeers = 10005
