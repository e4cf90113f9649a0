package backup

import (
	"context"
	"errors"
	"math"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// series restores the messages of a stream that has no keys, each once. They are numbered
// by their place in the backup and written one after the other, so the last one that is
// there tells how far an earlier restore has come.
type series struct {
	*restoration
	stream  string
	subject string

	number uint64 // of this entry
	there  uint64 // the highest number known to be stored
	last   uint64 // the sequence up to which look has read

	// tops has the last sequence of each subject. The next message is conditional on it:
	// one that was sent without an answer may yet be stored.
	tops map[string]uint64
}

func newSeries(r *restoration, stream, subject string) *series {
	return &series{restoration: r, stream: stream, subject: subject, tops: map[string]uint64{}}
}

// put writes the message of a fire, unless it is there or the fire's job comes back as a
// waiting job: the job then produces all of it anew.
func (s *series) put(f job.Fire, m *nats.Msg) error {
	if s.number++; s.number == 1 && s.again {
		if err := s.look(s.ctx); err != nil {
			return err
		}
	}
	m.Header[wire.HeaderRestore] = []string{wire.RestoreTag(s.run, s.number)}
	sent := false
	return until(s.ctx, func(ctx context.Context) (bool, error) {
		if sent { // without an answer
			if err := s.look(ctx); err != nil {
				return false, err
			}
		}
		if s.number <= s.there {
			return true, nil
		}
		r, found, err := s.jobs.Read(ctx, f.Key)
		if err != nil || found && r.Status.Live() && r.FireID == f.FireID {
			return err == nil, err
		}
		sent = true
		seq, err := s.send(ctx, m)
		if err != nil {
			return false, err
		}
		s.there, s.last = s.number, seq
		return true, nil
	})
}

// send sends a message conditional on being the next one of its subject.
func (s *series) send(ctx context.Context, m *nats.Msg) (uint64, error) {
	top, known := s.tops[m.Subject]
	if !known {
		last, _, err := s.w.LastOnLeader(ctx, s.stream, m.Subject)
		if err != nil {
			return 0, err
		}
		top = last.Seq
	}
	m.Header[wire.HeaderExpectSubjectSeq] = []string{wire.FormatUint(top)}
	s.tops[m.Subject] = top // also for a repeat, which loses to a late first copy
	seq, err := s.w.Send(ctx, m)
	switch {
	case err == nil:
		s.tops[m.Subject] = seq
	case errors.Is(err, journal.ErrConflict):
		delete(s.tops, m.Subject)
	}
	return seq, err
}

// look finds the highest stored number.
func (s *series) look(ctx context.Context) error {
	return s.readToEnd(ctx, s.stream, s.subject, s.last+1, math.MaxUint64, func(m journal.Stored) error {
		if run, number := wire.ParseRestoreTag(m.Header); run == s.run {
			s.there = max(s.there, number)
		}
		s.last = m.Seq
		return nil
	})
}
