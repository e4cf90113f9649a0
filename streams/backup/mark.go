package backup

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// Mark is the key of the bucket belfry that describes a restore. It is written before
// anything else of the backup, and says at the end that all of it is there. It stays, for
// the timers to read.
type Mark struct {
	Backup string `json:"backup"`
	Run    string `json:"run"` // this restore, including its repeats
	Begun  int64  `json:"begun_time"`
	Ended  int64  `json:"ended_time,omitempty"`
}

// readMark returns the mark as the leader has it, and its revision, 0 if there never was
// a mark.
func readMark(ctx context.Context, w *journal.Writer) (mark Mark, revision uint64, err error) {
	m, found, err := w.LastOnLeader(ctx, w.Names.BelfryStream(), w.Names.BelfrySubject(wire.RestoreKey))
	if err != nil || !found || wire.IsMarker(m.Header) {
		return mark, m.Seq, err
	}
	mark, err = ParseMark(w.Names, m.Data)
	return mark, m.Seq, err
}

// errNoMark means that the message in the mark's place is not a mark.
var errNoMark = errors.New("the mark of the last restore cannot be read")

// ParseMark parses the value in the mark's place.
func ParseMark(n wire.Names, data []byte) (Mark, error) {
	var mark Mark
	err := json.Unmarshal(data, &mark)
	if err == nil && mark.Run == "" {
		err = errors.New("it names no run")
	}
	if err != nil {
		return Mark{}, fmt.Errorf("%w: key %s of bucket %s: %v", errNoMark, wire.RestoreKey, n.BelfryBucket(), err)
	}
	return mark, nil
}

func writeMark(ctx context.Context, w *journal.Writer, mark Mark, expect uint64) error {
	data, err := json.Marshal(mark)
	if err != nil {
		return err
	}
	m := &nats.Msg{Subject: w.Names.BelfrySubject(wire.RestoreKey), Header: nats.Header{wire.HeaderExpectSubjectSeq: {wire.FormatUint(expect)}}, Data: data}
	_, err = w.Send(ctx, m)
	if errors.Is(err, journal.ErrConflict) || errors.Is(err, journal.ErrNoAnswer) {
		return fmt.Errorf("%w: %v", job.ErrUnknownOutcome, err)
	}
	if err == nil {
		CopyMark(ctx, w, data)
	}
	return err
}

// CopyMark stores a copy of the mark. If that fails, the audit does it.
func CopyMark(ctx context.Context, w *journal.Writer, mark []byte) {
	_, _ = w.Send(ctx, &nats.Msg{Subject: w.Names.BelfrySubject(wire.RestoreCopy), Header: nats.Header{}, Data: mark})
}

// Restored reports whether the restore that a job names is finished. A missing mark is
// not trusted: it was written before everything else.
func Restored(ctx context.Context, w *journal.Writer, run string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, journal.AnswerWait)
	defer cancel()
	mark, _, err := readMark(ctx, w)
	if err != nil || mark.Run == "" {
		return false, err
	}
	return mark.Run != run || mark.Ended != 0, nil
}

// beginRestore makes sure that this backup may be restored here: either the store is
// empty, or it holds only what an earlier restore of the same backup left; then again is
// true.
func (b *Backups) beginRestore(ctx context.Context, backup string) (run string, again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, journal.AnswerWait)
	defer cancel()
	mark, revision, err := readMark(ctx, b.w)
	switch {
	case err != nil && !errors.Is(err, errNoMark): // there may be a restore, if there is anything
		return "", false, err
	case mark.Run != "" && mark.Ended == 0 && mark.Backup == backup:
		return mark.Run, true, nil
	case mark.Run != "" && mark.Ended == 0:
		return "", false, fmt.Errorf("%w: the restore of another backup broke off; that one, whose id is %s, is accepted, or a new server", job.ErrNotEmpty, job.Quote(mark.Backup))
	}
	if err := b.checkEmpty(ctx); err != nil {
		if mark.Backup == backup && errors.Is(err, job.ErrNotEmpty) {
			err = fmt.Errorf("%w; this very backup was restored here at %s", err, time.UnixMilli(mark.Ended).UTC().Format(time.RFC3339))
		}
		return "", false, err
	}
	begun := Mark{Backup: backup, Run: rand.Text(), Begun: b.cfg.Now().UnixMilli()}
	return begun.Run, false, until(ctx, func(ctx context.Context) (bool, error) {
		if err := writeMark(ctx, b.w, begun, revision); !errors.Is(err, job.ErrUnknownOutcome) {
			return err == nil, err
		}
		now, at, err := readMark(ctx, b.w)
		if err == nil && at != revision && now.Run != begun.Run {
			err = fmt.Errorf("%w: another restore has begun", job.ErrNotEmpty)
		}
		return now.Run == begun.Run, err
	})
}

// endRestore lets the timers fire.
func (b *Backups) endRestore(ctx context.Context, run string) error {
	return until(ctx, func(ctx context.Context) (bool, error) {
		mark, revision, err := readMark(ctx, b.w)
		switch {
		case err != nil:
			return false, err
		case mark.Run != run:
			return false, fmt.Errorf("%w: another restore has begun meanwhile", job.ErrNotEmpty)
		case mark.Ended != 0:
			return true, nil
		}
		mark.Ended = b.cfg.Now().UnixMilli()
		err = writeMark(ctx, b.w, mark, revision)
		return err == nil, err
	})
}

// checkEmpty refuses to restore if the store holds anything that a backup holds.
func (b *Backups) checkEmpty(ctx context.Context) error {
	type place struct{ what, stream, subject string }
	places := []place{
		{"routes", b.w.Names.RoutesStream(), ">"},
		{"tokens", b.w.Names.TokensStream(), ">"},
		{"dead letters", b.w.Names.DeadStream(), ">"},
		{"attempts", b.w.Names.AttemptsStream(), ">"},
		{"fires", b.w.Names.FiresStream(), b.w.Names.FiresSubjects()},
	}
	for p := range b.partitions {
		places = append(places, place{"jobs", b.w.Names.JobsStream(p), b.w.Names.AllJobs(p)})
	}
	for _, p := range places {
		for next := uint64(1); ; {
			m, found, err := b.w.NextOnLeader(ctx, p.stream, p.subject, next)
			if err != nil {
				return err
			}
			if !found {
				break
			}
			if !wire.IsMarker(m.Header) && m.Subject != b.w.Names.ProbeSubject(p.stream) {
				return fmt.Errorf("%w: there are %s; a server without jobs, routes, dead letters and tokens is accepted, or one where the restore of this backup broke off", job.ErrNotEmpty, p.what)
			}
			next = m.Seq + 1
		}
	}
	return nil
}
