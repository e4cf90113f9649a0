package jobs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/metrics"
	"belfry/internal/room"
	"belfry/streams/due"
	"belfry/streams/journal"
	"belfry/streams/routes"
	"belfry/streams/wire"
)

// Jobs are the records of all jobs, one key each. A change whose answer is success is
// stored. Each change is one compare-and-set, so exactly one of two racing changes wins,
// and the other gets an error. The errors are the job package's. It is safe for
// concurrent use.
type Jobs struct {
	js         jetstream.JetStream
	w          *journal.Writer
	routes     *routes.Routes
	dead       *DeadLetters
	partitions int
	rooms      []*Spare  // for new jobs, by partition
	index      due.Index // the standing claims
	cfg        Config

	// ReadTime bounds how long one request reads. It is set before the first request.
	ReadTime time.Duration
}

// Config configures the jobs and their history.
type Config struct {
	HistoryTTL time.Duration // how long the final state of a job is kept
	MaxMeta    int           // the longest meta of a job put into its bucket by hand, in bytes

	Now     func() time.Time
	Log     *slog.Logger
	Metrics *metrics.Streams
}

// New returns the jobs, read and written through by. rooms and index are the timers',
// with one entry for each partition.
func New(by journal.Access, routes *routes.Routes, rooms []*Spare, index due.Index, cfg Config) *Jobs {
	return &Jobs{
		js: by.JS, w: by.W, routes: routes, dead: NewDeadLetters(by.W, cfg), partitions: len(rooms), rooms: rooms, index: index,
		cfg: cfg, ReadTime: readTime,
	}
}

// Read returns the job's record as the leader has it. For a deleted key found is false,
// but r has the revision to overwrite.
func (s *Jobs) Read(ctx context.Context, k job.Key) (r job.Record, found bool, err error) {
	return s.readBy(ctx, s.w.LastOnLeader, k)
}

// readBy is [Jobs.Read] with last to get the newest message on a subject.
func (s *Jobs) readBy(ctx context.Context, last func(ctx context.Context, stream, subject string) (journal.Stored, bool, error), k job.Key) (r job.Record, found bool, err error) {
	p := wire.PartitionOf(k, s.partitions)
	shrink, err := s.w.Hold(ctx)
	if err != nil {
		return job.Record{}, false, err
	}
	m, found, err := last(ctx, s.w.Names.JobsStream(p), s.w.Names.JobSubject(p, k))
	shrink(len(m.Data))
	if err != nil || !found {
		return job.Record{}, false, err
	}
	r, err = s.Decode(k, m.Seq, m.Header, m.Data)
	switch {
	case errors.Is(err, wire.ErrNoRecord):
		return r, false, nil
	case errors.Is(err, job.ErrNotAJob):
		return r, false, fmt.Errorf("%w; nats kv del %s %s removes it, and so does DELETE; POST and PUT replace it", err, s.w.Names.JobsBucket(p), wire.JobKey(k))
	}
	return r, err == nil, err
}

// Write overwrites the revision expect, 0 for none, with r and returns the new revision.
// The error wraps [job.ErrMoved], [job.ErrUnavailable] or [job.ErrUnknownOutcome].
func (s *Jobs) Write(ctx context.Context, r job.Record, expect uint64) (uint64, error) {
	return s.w.WriteRecord(ctx, wire.PartitionOf(r.Key, s.partitions), r, expect, s.cfg.HistoryTTL)
}

// NewWrite prepares [Jobs.Write] without sending it.
func (s *Jobs) NewWrite(r job.Record, expect uint64) *journal.RecordWrite {
	return s.w.NewRecordWrite(wire.PartitionOf(r.Key, s.partitions), r, expect, s.cfg.HistoryTTL)
}

// Get returns the job as it stands now. A first "not found" may come from a server that
// was the leader before it slept. It is trusted only when it is given again after the
// leader was found to be in touch with the others.
func (s *Jobs) Get(ctx context.Context, k job.Key) (job.Record, error) {
	for again := false; ; again = true {
		r, found, err := s.readBy(ctx, s.w.Last, k)
		switch {
		case err != nil || found:
			return r, err
		case again:
			return r, notFound(k)
		}
		if err := journal.ConfirmLeader(ctx, s.js, s.w.Names.JobsStream(wire.PartitionOf(k, s.partitions))); err != nil {
			return r, err
		}
	}
}

// Create stores a new job. Creating it again with the same content does nothing while the
// job lives or its final state is kept. Other content is refused with [job.ErrJobExists]
// while the job lives. A cancelled job, and a finished one with other content, is armed
// anew. Any other value under the key is replaced.
func (s *Jobs) Create(ctx context.Context, j job.Job) error {
	if _, err := s.routes.Cached(ctx, j.RouteKey()); err != nil {
		return err
	}
	if err := s.admit(j); err != nil {
		return err
	}
	next, expect := job.New(j, rand.Text()), uint64(0)
	held := room.Of(ctx).Held()
	for {
		room.Of(ctx).Keep(held)
		_, err := s.Write(ctx, next, expect)
		if !errors.Is(err, job.ErrMoved) {
			return err
		}
		old, found, err := s.Read(ctx, j.Key)
		if err != nil && !errors.Is(err, job.ErrNotAJob) {
			return err
		}
		switch {
		case !found:
			next = job.New(j, rand.Text())
		case old.Status != job.Cancelled && old.SameContent(j):
			return nil
		case old.Status.Live():
			if old.Status == job.Firing {
				return fmt.Errorf("%w: job %q has begun to fire with another %s; its id is free again once it is finished", job.ErrJobExists, j.ID, old.Difference(j))
			}
			return fmt.Errorf("%w: job %q is %s with another %s; PUT changes it, DELETE cancels it", job.ErrJobExists, j.ID, old.Status, old.Difference(j))
		default:
			if err := s.BuryBefore(ctx, old); err != nil {
				return err
			}
			if next, err = old.Rearm(j, rand.Text()); err != nil {
				return err
			}
		}
		expect = old.Revision
	}
}

// BuryBefore makes sure that a job which has just died has its dead letter before its id
// is armed again: its worker may not have written the letter yet, and would not find the
// death any more. JetStream drops a repeated letter.
func (s *Jobs) BuryBefore(ctx context.Context, r job.Record) error {
	if r.Status != job.Dead || s.cfg.Now().UnixMilli()-r.Finished > DeadRepeats.Milliseconds() {
		return nil
	}
	if r.Replaces.Seq == 0 { // it was restored, and so was its letter
		return nil
	}
	f := r.Fire()
	f.Claim = r.Replaces.Seq // the death replaced the claim
	return s.dead.Bury(ctx, f, r.Reason, r.Detail)
}

// Update changes a waiting job. It fails with [job.ErrFiring] or [job.ErrFinished] when
// it is too late: the job fires, or has fired, unchanged. If the job is already exactly
// as requested, the update succeeds: an earlier update may have been applied without an
// answer. If expect is not 0, only that revision is changed; another is refused with
// [job.ErrRevision]. Repeating a change that was made does nothing. A value under the key
// that is not a job is replaced.
func (s *Jobs) Update(ctx context.Context, j job.Job, expect uint64) error {
	if _, err := s.routes.Cached(ctx, j.RouteKey()); err != nil {
		return err
	}
	if err := s.admit(j); err != nil {
		return err
	}
	err := s.change(ctx, j.Key, func(r job.Record) (job.Record, error) {
		if expect != 0 && r.Revision != expect {
			return r, unlessMade(r, expect, r.Status == job.Scheduled && r.SameContent(j))
		}
		n, err := r.Change(j, rand.Text())
		if err != nil && r.Status != job.Cancelled && r.SameContent(j) {
			return r, errUnchanged
		}
		return n, err
	})
	if errors.Is(err, job.ErrNotAJob) {
		return s.overwrite(ctx, j.Key, expect, func(revision uint64) error {
			_, err := s.Write(ctx, job.New(j, rand.Text()), revision)
			return err
		})
	}
	return err
}

// Cancel stops a waiting job, with the errors of [Jobs.Update]. Cancelling it again does
// nothing. A value under the key that is not a job is removed.
func (s *Jobs) Cancel(ctx context.Context, k job.Key, expect uint64) error {
	err := s.change(ctx, k, func(r job.Record) (job.Record, error) {
		if expect != 0 && r.Revision != expect {
			return r, unlessMade(r, expect, r.Status == job.Cancelled)
		}
		if r.Status == job.Cancelled {
			return r, errUnchanged
		}
		return r.Cancel(s.cfg.Now())
	})
	if errors.Is(err, job.ErrNotAJob) {
		return s.overwrite(ctx, k, expect, func(revision uint64) error {
			m := wire.PurgeMarker(s.w.Names.JobSubject(wire.PartitionOf(k, s.partitions), k), s.cfg.HistoryTTL)
			m.Header[wire.HeaderExpectSubjectSeq] = []string{wire.FormatUint(revision)}
			_, err := s.w.Send(ctx, m)
			return err
		})
	}
	return err
}

// unlessMade returns the error of a change for the revision expect when r has another
// one. done says that r is as the change makes it; the change was made if r replaced that
// revision.
func unlessMade(r job.Record, expect uint64, done bool) error {
	if done && r.Replaces.Seq == expect {
		return errUnchanged
	}
	return job.OtherRevision(r.Revision, expect)
}

// Fire makes a waiting job due now, with the errors of [Jobs.Update]. Everything else
// stays, including its fire id. A job that is due already is left to the timer.
func (s *Jobs) Fire(ctx context.Context, k job.Key) error {
	var asked job.Record // the record that was to fire now, whether or not it did
	return s.change(ctx, k, func(r job.Record) (job.Record, error) {
		now := s.cfg.Now()
		tried := asked.FireID != "" && r.FireID == asked.FireID && r.Attempt > asked.Attempt
		if tried || r.Status.Waiting() && r.Due <= now.UnixMilli() {
			return r, errUnchanged
		}
		asked = r
		return r.Hasten(now)
	})
}

// errUnchanged means that the record is already as requested.
var errUnchanged = errors.New("nothing to change")

// change overwrites the record with what next returns. It repeats while other writes come
// between.
func (s *Jobs) change(ctx context.Context, k job.Key, next func(job.Record) (job.Record, error)) error {
	pause := journal.NewBackOff(time.Millisecond, 100*time.Millisecond)
	held := room.Of(ctx).Held()
	for {
		room.Of(ctx).Keep(held)
		old, err := s.Get(ctx, k)
		if err != nil {
			return err
		}
		r, err := next(old)
		if errors.Is(err, errUnchanged) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err = s.Write(ctx, r, old.Revision); !errors.Is(err, job.ErrMoved) {
			return err
		}
		// A pause lets many writers that race for one job conflict less.
		if !journal.Sleep(ctx, pause.NextBackOff()) {
			return fmt.Errorf("%w: too many others change the job", job.ErrUnavailable)
		}
	}
}

func notFound(k job.Key) error {
	return fmt.Errorf("%w: %q in collection %q of db %q", job.ErrJobNotFound, k.ID, k.Collection, k.DB)
}

// Decode is [wire.DecodeRecord] that also limits the meta of a job put into the bucket by
// hand.
func (s *Jobs) Decode(k job.Key, seq uint64, h nats.Header, data []byte) (job.Record, error) {
	r, err := wire.DecodeRecord(k, seq, h, data)
	if err == nil && r.FireID == "" && len(r.Meta) > s.cfg.MaxMeta {
		err = fmt.Errorf("%w: its meta has %d bytes; up to %d are accepted", job.ErrNotAJob, len(r.Meta), s.cfg.MaxMeta)
	}
	return r, err
}
