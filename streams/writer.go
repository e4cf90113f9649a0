package streams

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
)

// writer makes compare-and-set writes and settles their outcomes. It is safe
// for concurrent use.
type writer struct {
	nc *nats.Conn

	// publish sends one message and waits for its answer. Tests replace it
	// to lose answers.
	publish func(context.Context, *nats.Msg, ...jetstream.PublishOpt) (*jetstream.PubAck, error)

	wait time.Duration // for one answer
}

func newWriter(nc *nats.Conn, c *committers) *writer {
	return &writer{nc: nc, publish: c.publish, wait: answerWait}
}

// What the answer to one send can be, besides success.
var (
	// errConflict: the server refused the write, since the subject it
	// compared has another last sequence. Nothing was written.
	errConflict = errors.New("another write came first")
	// errNoAnswer: the write may or may not have been applied, or may yet be.
	errNoAnswer = errors.New("no answer")
)

// send publishes m once and tells the three kinds of failure apart: errConflict
// and errNoAnswer, and [job.ErrUnavailable] when the server refused it or
// nobody was there to take it.
func (w *writer) send(ctx context.Context, m *nats.Msg) (seq uint64, err error) {
	if !w.nc.IsConnected() {
		return 0, fmt.Errorf("%w: not connected to NATS", job.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, w.wait)
	defer cancel()
	ack, err := w.publish(ctx, m)
	var refused *jetstream.APIError
	switch {
	case err == nil:
		return ack.Sequence, nil
	case errors.As(err, &refused) && isConflict(refused):
		return 0, errConflict
	case errors.As(err, &refused), errors.Is(err, errWithdrawn),
		errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse),
		errors.Is(err, nats.ErrMaxPayload):
		return 0, fmt.Errorf("%w: %v", job.ErrUnavailable, err)
	}
	return 0, fmt.Errorf("%w: %v", errNoAnswer, err)
}

// errCodeInFlight is the refusal of a replicated stream while another write to
// the same subject is under way.
const errCodeInFlight = 10164

func isConflict(e *jetstream.APIError) bool {
	return e.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || e.ErrorCode == errCodeInFlight
}

// put writes r over the record at the revision expect, 0 being none, and
// returns its revision. It repeats and reads until it knows the outcome or ctx
// ends:
//
//   - [job.ErrMoved]: the record has another revision; nothing was written.
//   - [job.ErrUnavailable]: nothing was written.
//   - [job.ErrUnknownOutcome]: it may have been written, or may yet be.
func (w *writer) put(ctx context.Context, partition int, r job.Record, expect uint64, finalTTL time.Duration) (uint64, error) {
	r.Op = rand.Text()
	subject := jobSubject(partition, r.Key)
	m := encodeRecord(subject, r, finalTTL)
	m.Header[hdrExpectSubjectSeq] = []string{formatUint(expect)}

	asked := false // a send without an answer lies behind us
	pause := newBackOff(10*time.Millisecond, time.Second)
	for {
		seq, err := w.send(ctx, m)
		switch {
		case err == nil:
			return seq, nil
		case errors.Is(err, errConflict) && !asked:
			// The server says so too when it could not read, and on replicas
			// while another write is under way that may yet fail.
			if moved, err := w.moved(ctx, jobsStream(partition), subject, expect); moved || err != nil {
				return 0, err
			}
			if !sleep(ctx, pause.NextBackOff()) {
				return 0, fmt.Errorf("%w: the store keeps refusing the write", job.ErrUnavailable)
			}
			continue
		case errors.Is(err, job.ErrUnavailable) && !asked:
			return 0, err
		}
		asked = true
		for {
			seq, again, err := w.settle(ctx, jobsStream(partition), subject, r, expect)
			if err == nil && !again {
				return seq, nil
			}
			if err != nil && !errors.Is(err, job.ErrUnavailable) {
				return 0, err
			}
			if !sleep(ctx, pause.NextBackOff()) {
				return 0, fmt.Errorf("%w: the store did not answer in time", job.ErrUnknownOutcome)
			}
			if err == nil {
				break // send again
			}
		}
	}
}

// moved asks the leader whether the record is at another revision than expect;
// then the error is [job.ErrMoved].
func (w *writer) moved(ctx context.Context, stream, subject string, expect uint64) (bool, error) {
	m, _, err := w.lastOnLeader(ctx, stream, subject)
	switch {
	case err != nil:
		return false, err
	case m.Seq != expect:
		return true, fmt.Errorf("%w: its revision is %d, not %d", job.ErrMoved, m.Seq, expect)
	}
	return false, nil
}

// settle finds out from the leader what became of the write of r over the
// revision expect, whose answer is missing. again says that the record is
// still as it was, so that the write can be sent again: should both arrive,
// the comparison lets one through.
func (w *writer) settle(ctx context.Context, stream, subject string, r job.Record, expect uint64) (seq uint64, again bool, err error) {
	m, found, err := w.lastOnLeader(ctx, stream, subject)
	if err != nil {
		return 0, false, err
	}
	if !found {
		if expect == 0 {
			return 0, true, nil
		}
		return 0, false, fmt.Errorf("%w: the record is gone", job.ErrUnknownOutcome)
	}
	now, written, err := decodeHeaders(r.Key, m.Seq, m.Header)
	switch {
	case err != nil:
		return 0, false, fmt.Errorf("%w: the record was overwritten from outside", job.ErrUnknownOutcome)
	case now.Op == r.Op:
		return m.Seq, false, nil
	case m.Seq == expect:
		return 0, true, nil
	case written && now.Replaces.Seq == expect:
		return 0, false, fmt.Errorf("%w: another write came first", job.ErrMoved)
	case r.Status == job.Scheduled && now.FireID == r.FireID:
		// The fire id was made for this very write: it was applied, and
		// the job has moved on since.
		return m.Seq, false, nil
	}
	return 0, false, fmt.Errorf("%w: the record has changed more than once", job.ErrUnknownOutcome)
}

// newBackOff returns growing pauses between first and most, without end.
func newBackOff(first, most time.Duration) backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(first), backoff.WithMaxInterval(most), backoff.WithMaxElapsedTime(0))
}

// sleep waits for d and reports whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
