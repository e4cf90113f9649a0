package streams

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

// writer makes compare-and-set writes and settles their outcomes. It is safe
// for concurrent use.
type writer struct {
	nc         *nats.Conn
	js         jetstream.JetStream
	names      wire.Names
	replicated bool // the streams have more than one replica
	metrics    *metrics.Streams

	// reads bounds what the answers to requests have together, each of which is
	// taken for one with a message of the largest size; nil is no bound.
	reads   *room.Pool
	largest int64

	turns *turns

	// ask is [asker.ask]. Tests replace it to answer otherwise.
	ask func(*nats.Msg, func(*nats.Msg, error))

	// submit sends one message and has done called with the answer; see
	// [committers.submit]. Tests replace it to lose answers.
	submit func(m *nats.Msg, done func(seq uint64, err error)) (withdraw func() bool)
}

func newWriter(nc *nats.Conn, a *asker, c *committers) *writer {
	return &writer{nc: nc, js: c.js, names: a.names, replicated: c.replicated, metrics: c.metrics, ask: a.ask, submit: c.submit}
}

// What the answer to one send can be, besides success.
var (
	// errConflict: a server refused the write, since the subject it compared
	// has another last sequence there. It wrote nothing; on replicas another
	// one may have.
	errConflict = errors.New("another write came first")
	// errNoAnswer: the write may or may not have been applied, or may yet be.
	errNoAnswer = errors.New("no answer")
	// errWithdrawn: the write waited too long for its turn, and was not sent.
	errWithdrawn = errors.New("too many writes are waiting")
)

// trySend sends m once and has done called once, with the sequence or one of
// three kinds of failure: errConflict and errNoAnswer, and [job.ErrUnavailable]
// when the server refused it or nobody was there to take it. done must not
// block. withdraw is that of [committers.submit].
func (w *writer) trySend(m *nats.Msg, done func(seq uint64, err error)) (withdraw func() bool) {
	began := time.Now()
	w.metrics.WriteBegan()
	return w.submit(m, func(seq uint64, err error) {
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
		return errConflict
	case errors.Is(err, job.ErrUnavailable): // not sent at all
		return err
	case limited("", err) != nil:
		return limited("", err)
	case errors.As(err, &refused), errors.Is(err, errNotConnected), errors.Is(err, nats.ErrNoResponders),
		errors.Is(err, nats.ErrMaxPayload), errors.Is(err, errOtherStream):
		return fmt.Errorf("%w: %w", job.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %v", errNoAnswer, err)
}

// electionWait is how long after nobody took a write it is sent again: the
// stream may be about to have a leader.
const electionWait = 250 * time.Millisecond

// send is trySend that waits for the answer, for a bounded time. What nobody
// took it sends once more.
func (w *writer) send(ctx context.Context, m *nats.Msg) (seq uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	seq, err = w.sendOnce(ctx, m)
	if errors.Is(err, nats.ErrNoResponders) && sleep(ctx, electionWait) {
		seq, err = w.sendOnce(ctx, m)
	}
	return seq, err
}

func (w *writer) sendOnce(ctx context.Context, m *nats.Msg) (seq uint64, err error) {
	type answer struct {
		seq uint64
		err error
	}
	if ctx.Err() != nil {
		return 0, fmt.Errorf("%w: %v", job.ErrUnavailable, ctx.Err())
	}
	if m.Size() > largeAnswer {
		over, err := w.turns.take(ctx, largeRest)
		if err != nil {
			return 0, err
		}
		defer over()
	}
	began := time.Now()
	answers := make(chan answer, 1)
	withdraw := w.trySend(m, func(seq uint64, err error) { answers <- answer{seq, err} })
	select {
	case a := <-answers:
		return a.seq, a.err
	case <-ctx.Done():
	}
	switch {
	case withdraw == nil:
		return 0, fmt.Errorf("%w: %v", errNoAnswer, ctx.Err())
	case withdraw():
		w.metrics.WriteEnded(time.Since(began))
		return 0, fmt.Errorf("%w: %v", job.ErrUnavailable, errWithdrawn)
	}
	// Under way. A caller that sent it again would meet its own first copy,
	// and spoil the batch that it is in.
	a := <-answers
	return a.seq, a.err
}

// mayBeStored reports whether one of several servers refused what another may have
// stored. What is wrong with the message itself all of them refuse.
func mayBeStored(err error) bool {
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
