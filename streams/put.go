package streams

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"

	"belfry/internal/job"
	"belfry/streams/wire"
)

// put writes r over the record at the revision expect, 0 being none, and
// returns its revision. It repeats and reads until it knows the outcome or ctx
// ends:
//
//   - [job.ErrMoved]: the record has another revision, and nothing was written;
//     or it is gone, as a final state is in time, perhaps this very one.
//   - [job.ErrUnavailable]: nothing was written.
//   - [job.ErrUnknownOutcome]: it may have been written, or may yet be.
func (w *writer) put(ctx context.Context, partition int, r job.Record, expect uint64, finalTTL time.Duration) (uint64, error) {
	p := w.newPut(partition, r, expect, finalTTL)
	seq, err := w.send(ctx, p.msg)
	return p.conclude(ctx, seq, err)
}

// put is one write of a record until its outcome is known.
type put struct {
	w      *writer
	r      job.Record
	expect uint64
	stream string
	msg    *nats.Msg
}

func (w *writer) newPut(partition int, r job.Record, expect uint64, finalTTL time.Duration) *put {
	r.Op = rand.Text()
	m := wire.EncodeRecord(w.names.JobSubject(partition, r.Key), r, finalTTL)
	m.Header[wire.HeaderExpectSubjectSeq] = []string{wire.FormatUint(expect)}
	return &put{w: w, r: r, expect: expect, stream: w.names.JobsStream(partition), msg: m}
}

// conclude goes on from the answer to the first send; see [writer.put].
func (p *put) conclude(ctx context.Context, seq uint64, err error) (uint64, error) {
	asked := false // a send without an answer lies behind us
	pause := newBackOff(10*time.Millisecond, time.Second)
	for {
		switch {
		case err == nil:
			return seq, nil
		case errors.Is(err, errConflict) && !asked:
			// The server says so too when it could not read, and on replicas
			// while another write is under way that may yet fail.
			seq, err := p.refused(ctx)
			if seq > 0 || errors.Is(err, job.ErrMoved) {
				return seq, err
			}
			// A leader that was cut off refuses what the new one stores: who
			// cannot be asked may have it.
			asked = err != nil || !sleep(ctx, pause.NextBackOff())
		case errors.Is(err, job.ErrUnavailable) && !asked:
			if p.w.replicated && mayBeStored(err) {
				return 0, fmt.Errorf("%w: %w", job.ErrUnknownOutcome, err)
			}
			return 0, err
		default:
			asked = true
		}
		if asked {
			seq, again, err := p.whatBecame(ctx, pause)
			if !again {
				return seq, err
			}
		}
		seq, err = p.w.send(ctx, p.msg)
	}
}

// whatBecame settles a write whose answer is missing, however long that takes
// while ctx lasts. again says that it is to be sent again.
func (p *put) whatBecame(ctx context.Context, pause backoff.BackOff) (seq uint64, again bool, err error) {
	for {
		seq, again, err := p.settle(ctx)
		switch {
		case err == nil && !again:
			return seq, false, nil
		case err != nil && !errors.Is(err, job.ErrUnavailable):
			return 0, false, err
		case !sleep(ctx, pause.NextBackOff()):
			return 0, false, fmt.Errorf("%w: the store did not answer in time", job.ErrUnknownOutcome)
		case err == nil:
			return 0, true, nil
		}
	}
}

// refused asks the leader why it refused the write. That the record has moved
// ([job.ErrMoved]) is believed of a higher revision only: a leader that was cut
// off answers, and refuses, by what it last knew. seq is that of the write itself,
// when it is there in spite of the refusal; in an election a refusal can come
// after the write. Without either, the write can be sent again.
func (p *put) refused(ctx context.Context) (seq uint64, err error) {
	m, _, err := p.read(ctx)
	if err != nil || m.Seq <= p.expect {
		return 0, err
	}
	if now, _, err := wire.DecodeHeaders(p.r.Key, m.Seq, m.Header); err == nil && isOurs(now, p.r) {
		return m.Seq, nil
	}
	return 0, fmt.Errorf("%w: its revision is %d, not %d", job.ErrMoved, m.Seq, p.expect)
}

// read returns the record as the leader has it. That there is none any more is
// [job.ErrMoved] if it is said again after the leader was found to be in touch with
// the others. Of a claim it is not believed, so that no job is forgotten for it.
func (p *put) read(ctx context.Context) (m stored, found bool, err error) {
	for again := false; ; again = true {
		m, found, err = p.w.lastOnLeader(ctx, p.stream, p.msg.Subject)
		switch {
		case err != nil || found || p.expect == 0 || p.r.Status == job.Firing:
			return m, found, err
		case again:
			return m, false, fmt.Errorf("%w: the record is gone", job.ErrMoved)
		}
		if err := quorate(ctx, p.w.js, p.stream); err != nil {
			return m, false, err
		}
	}
}

// isOurs reports whether the record now shows that the write of r was applied: it
// is that write, or the job has moved on since from what that write armed.
func isOurs(now, r job.Record) bool {
	return now.Op == r.Op || r.Arms && now.FireID == r.FireID
}

// settle finds out from the leader what became of the write, whose answer is
// missing. again says that the record is still as it was, so that the write can be
// sent again: should both arrive, the comparison lets one through.
func (p *put) settle(ctx context.Context) (seq uint64, again bool, err error) {
	m, found, err := p.read(ctx)
	switch {
	case err != nil:
		return 0, false, err
	case !found && p.expect == 0:
		return 0, true, nil
	case m.Seq < p.expect:
		return 0, false, fmt.Errorf("%w: the leader of %s is behind, or the record is gone", job.ErrUnavailable, p.stream)
	}
	now, written, err := wire.DecodeHeaders(p.r.Key, m.Seq, m.Header)
	switch {
	case err != nil:
		return 0, false, fmt.Errorf("%w: the record was overwritten from outside", job.ErrUnknownOutcome)
	case now.Op == p.r.Op:
		return m.Seq, false, nil
	case m.Seq == p.expect:
		return 0, true, nil
	case written && now.Replaces.Seq == p.expect:
		return 0, false, fmt.Errorf("%w: another write came first", job.ErrMoved)
	case isOurs(now, p.r):
		return m.Seq, false, nil
	}
	return 0, false, fmt.Errorf("%w: the record has changed more than once", job.ErrUnknownOutcome)
}
