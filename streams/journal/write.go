package journal

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

// WriteRecord writes r over the record at the revision expect, 0 meaning that there is
// none, and returns its revision. It repeats and reads until it knows the outcome or ctx
// ends:
//
//   - [job.ErrMoved]: the record has another revision, and nothing was written;
//     or it is gone, as a final state is in time, perhaps this very one.
//   - [job.ErrUnavailable]: nothing was written.
//   - [job.ErrUnknownOutcome]: it may have been written, or may yet be.
func (w *Writer) WriteRecord(ctx context.Context, partition int, r job.Record, expect uint64, finalTTL time.Duration) (uint64, error) {
	p := w.NewRecordWrite(partition, r, expect, finalTTL)
	seq, err := w.Send(ctx, p.Msg)
	return p.Conclude(ctx, seq, err)
}

// RecordWrite is one write of a record until its outcome is known.
type RecordWrite struct {
	w      *Writer
	stream string

	Record job.Record // as it is written
	Expect uint64     // the revision that it overwrites; 0 is none
	Msg    *nats.Msg  // to be sent once by the caller; Conclude may send it again
}

// NewRecordWrite prepares [Writer.WriteRecord] for a caller that sends Msg itself and
// then calls Conclude with the answer.
func (w *Writer) NewRecordWrite(partition int, r job.Record, expect uint64, finalTTL time.Duration) *RecordWrite {
	r.Op = rand.Text()
	m := wire.EncodeRecord(w.Names.JobSubject(partition, r.Key), r, finalTTL)
	m.Header[wire.HeaderExpectSubjectSeq] = []string{wire.FormatUint(expect)}
	return &RecordWrite{w: w, Record: r, Expect: expect, stream: w.Names.JobsStream(partition), Msg: m}
}

// Conclude goes on from the answer to the first send; see [Writer.WriteRecord].
func (p *RecordWrite) Conclude(ctx context.Context, seq uint64, err error) (uint64, error) {
	asked := false // an earlier send has no trusted answer
	pause := NewBackOff(10*time.Millisecond, time.Second)
	for {
		switch {
		case err == nil:
			return seq, nil
		case errors.Is(err, ErrConflict) && !asked:
			// The server also says so when it could not read, and on replicas while
			// another write is under way that may yet fail.
			seq, err := p.refused(ctx)
			if seq > 0 || errors.Is(err, job.ErrMoved) {
				return seq, err
			}
			// A leader that was cut off refuses what the new leader stores. So if the
			// leader cannot be asked, the write may be stored.
			asked = err != nil || !Sleep(ctx, pause.NextBackOff())
		case errors.Is(err, job.ErrUnavailable) && !asked:
			if p.w.Replicated && MayBeStored(err) {
				return 0, fmt.Errorf("%w: %w", job.ErrUnknownOutcome, err)
			}
			return 0, err
		default:
			asked = true
		}
		if asked {
			seq, again, err := p.resolve(ctx, pause)
			if !again {
				return seq, err
			}
		}
		seq, err = p.w.Send(ctx, p.Msg)
	}
}

// resolve finds out the outcome of a write whose answer is missing, however long that
// takes while ctx lasts. again says that the write must be sent again.
func (p *RecordWrite) resolve(ctx context.Context, pause backoff.BackOff) (seq uint64, again bool, err error) {
	for {
		seq, again, err := p.settle(ctx)
		switch {
		case err == nil && !again:
			return seq, false, nil
		case err != nil && !errors.Is(err, job.ErrUnavailable):
			return 0, false, err
		case !Sleep(ctx, pause.NextBackOff()):
			return 0, false, fmt.Errorf("%w: the store did not answer in time", job.ErrUnknownOutcome)
		case err == nil:
			return 0, true, nil
		}
	}
}

// refused asks the leader why the write was refused. Only a higher revision proves that
// the record has moved ([job.ErrMoved]): a leader that was cut off answers, and refuses,
// by what it last knew. seq is the revision of the write itself, if it was stored in
// spite of the refusal; in an election a refusal can come after the write. If both are
// zero, the write can be sent again.
func (p *RecordWrite) refused(ctx context.Context) (seq uint64, err error) {
	m, _, err := p.read(ctx)
	if err != nil || m.Seq <= p.Expect {
		return 0, err
	}
	if now, _, err := wire.DecodeHeaders(p.Record.Key, m.Seq, m.Header); err == nil && isOurs(now, p.Record) {
		return m.Seq, nil
	}
	return 0, fmt.Errorf("%w: its revision is %d, not %d", job.ErrMoved, m.Seq, p.Expect)
}

// read returns the record as the leader has it. If there is none, read confirms that the
// leader is in touch with the others and asks again; a second "not found" is
// [job.ErrMoved]. For a claim, "not found" is never trusted, so that no job is forgotten
// because of it.
func (p *RecordWrite) read(ctx context.Context) (m Stored, found bool, err error) {
	for again := false; ; again = true {
		m, found, err = p.w.LastOnLeader(ctx, p.stream, p.Msg.Subject)
		switch {
		case err != nil || found || p.Expect == 0 || p.Record.Status == job.Firing:
			return m, found, err
		case again:
			return m, false, fmt.Errorf("%w: the record is gone", job.ErrMoved)
		}
		if err := ConfirmLeader(ctx, p.w.js, p.stream); err != nil {
			return m, false, err
		}
	}
}

// isOurs reports whether the record now shows that the write of r was applied: it is that
// write, or the job has since moved on from what that write armed.
func isOurs(now, r job.Record) bool {
	return now.Op == r.Op || r.Arms && now.FireID == r.FireID
}

// settle asks the leader for the outcome of a write whose answer is missing. again says
// that the record is unchanged, so the write can be sent again: if both copies arrive,
// the comparison lets only one through.
func (p *RecordWrite) settle(ctx context.Context) (seq uint64, again bool, err error) {
	m, found, err := p.read(ctx)
	switch {
	case err != nil:
		return 0, false, err
	case !found && p.Expect == 0:
		return 0, true, nil
	case m.Seq < p.Expect:
		return 0, false, fmt.Errorf("%w: the leader of %s is behind, or the record is gone", job.ErrUnavailable, p.stream)
	}
	now, written, err := wire.DecodeHeaders(p.Record.Key, m.Seq, m.Header)
	switch {
	case err != nil:
		return 0, false, fmt.Errorf("%w: the record was overwritten from outside", job.ErrUnknownOutcome)
	case now.Op == p.Record.Op:
		return m.Seq, false, nil
	case m.Seq == p.Expect:
		return 0, true, nil
	case written && now.Replaces.Seq == p.Expect:
		return 0, false, fmt.Errorf("%w: another write came first", job.ErrMoved)
	case isOurs(now, p.Record):
		return m.Seq, false, nil
	}
	return 0, false, fmt.Errorf("%w: the record has changed more than once", job.ErrUnknownOutcome)
}
