package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/metrics"
	"belfry/internal/room"
	"belfry/streams/wire"
)

// Writer makes compare-and-set writes and resolves their outcomes. It is safe for
// concurrent use.
type Writer struct {
	NC         *nats.Conn
	js         jetstream.JetStream
	Names      wire.Names
	Replicated bool // the streams have more than one replica
	metrics    *metrics.Streams

	// Reads bounds the total size, in bytes, of the answers to requests. Each answer
	// counts as a message of the Largest size. Nil is no bound.
	Reads   *room.Pool
	Largest int64

	// Turns bound large answers and writes; nil is no bound.
	Turns *Turns

	// Ask is [Requester.Ask]. Tests replace it to give other answers.
	Ask func(*nats.Msg, func(*nats.Msg, error))

	// Submit sends one message and has done called with the answer; see
	// [Lanes.submit]. Tests replace it to lose answers.
	Submit func(m *nats.Msg, done func(seq uint64, err error)) (withdraw func() bool)
}

// NewWriter returns a writer that writes through lanes and reads through a requester on
// the same connection.
func NewWriter(nc *nats.Conn, a *Requester, c *Lanes) *Writer {
	return &Writer{NC: nc, js: c.JS, Names: a.Names, Replicated: c.Replicated, metrics: c.Metrics, Ask: a.Ask, Submit: c.submit}
}

// These are the answers to one send besides success.
var (
	// ErrConflict means that a server refused the write because the subject's last
	// sequence there is another. That server wrote nothing; with replicas, another one
	// may have.
	ErrConflict = errors.New("another write came first")
	// ErrNoAnswer means that the write may or may not have been applied, or may yet be.
	ErrNoAnswer = errors.New("no answer")
	// errWithdrawn means that the write waited too long for its turn and was not sent.
	errWithdrawn = errors.New("too many writes are waiting")
)

// TrySend sends m once and has done called once, with the sequence or one of three kinds
// of failure: ErrConflict, ErrNoAnswer, or [job.ErrUnavailable] when the server refused
// the write or nobody was there to take it. done must not block. withdraw is what
// [Lanes.submit] returns.
func (w *Writer) TrySend(m *nats.Msg, done func(seq uint64, err error)) (withdraw func() bool) {
	began := time.Now()
	w.metrics.WriteBegan()
	return w.Submit(m, func(seq uint64, err error) {
		w.metrics.WriteEnded(time.Since(began))
		done(seq, kindOfFailure(err))
	})
}

func kindOfFailure(err error) error {
	var refused *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && isConflict(refused):
		return ErrConflict
	case errors.Is(err, job.ErrUnavailable): // not sent
		return err
	case Limited("", err) != nil:
		return Limited("", err)
	case errors.As(err, &refused), errors.Is(err, ErrNotConnected), errors.Is(err, nats.ErrNoResponders),
		errors.Is(err, nats.ErrMaxPayload), errors.Is(err, errOtherStream):
		return fmt.Errorf("%w: %w", job.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %v", ErrNoAnswer, err)
}

// electionWait is how long after nobody accepted a write it is sent again: the stream may
// be about to have a leader.
const electionWait = 250 * time.Millisecond

// Send is TrySend that waits for the answer, for a bounded time. A write that nobody
// accepted is sent once more.
func (w *Writer) Send(ctx context.Context, m *nats.Msg) (seq uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerWait)
	defer cancel()
	seq, err = w.sendOnce(ctx, m)
	if errors.Is(err, nats.ErrNoResponders) && Sleep(ctx, electionWait) {
		seq, err = w.sendOnce(ctx, m)
	}
	return seq, err
}

func (w *Writer) sendOnce(ctx context.Context, m *nats.Msg) (seq uint64, err error) {
	type answer struct {
		seq uint64
		err error
	}
	if ctx.Err() != nil {
		return 0, fmt.Errorf("%w: %v", job.ErrUnavailable, ctx.Err())
	}
	if m.Size() > largeAnswer {
		over, err := w.Turns.Take(ctx, largeRest)
		if err != nil {
			return 0, err
		}
		defer over()
	}
	began := time.Now()
	answers := make(chan answer, 1)
	withdraw := w.TrySend(m, func(seq uint64, err error) { answers <- answer{seq, err} })
	select {
	case a := <-answers:
		return a.seq, a.err
	case <-ctx.Done():
	}
	switch {
	case withdraw == nil:
		return 0, fmt.Errorf("%w: %v", ErrNoAnswer, ctx.Err())
	case withdraw():
		w.metrics.WriteEnded(time.Since(began))
		return 0, fmt.Errorf("%w: %v", job.ErrUnavailable, errWithdrawn)
	}
	// The write is under way. A caller that sent it again would conflict with its own
	// first copy and spoil the batch that it is in.
	a := <-answers
	return a.seq, a.err
}

// MayBeStored reports whether a write that one of several servers refused may have been
// stored by another. An error in the message itself makes all of them refuse.
func MayBeStored(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) &&
		refused.ErrorCode != errCodeMessageTooLarge && refused.ErrorCode != errCodeHeaderTooLarge
}

const (
	errCodeMessageTooLarge = 10054
	errCodeHeaderTooLarge  = 10097
)

// errCodeInFlight is the refusal of a replicated stream while another write to
// the same subject is under way.
const errCodeInFlight = 10164

func isConflict(e *jetstream.APIError) bool {
	return e.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || e.ErrorCode == errCodeInFlight
}
