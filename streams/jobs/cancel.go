package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"belfry/internal/job"
	"belfry/internal/panics"
	"belfry/internal/room"
	"belfry/streams/journal"
)

// cancelsBeside is how many jobs are cancelled concurrently, so that their writes share
// the syncs.
const cancelsBeside = 256

// cancelMeta is the longest meta, in bytes, that a job keeps in memory between the walk
// and its turn. A longer meta is read again then.
const cancelMeta = 8 << 10

// largeBeside is how many jobs with a longer meta are cancelled concurrently. More of
// them would wait for each other's room, and a wait for room is short.
const largeBeside = 4

// CancelEach cancels the waiting jobs that the query selects, for a bounded time, and
// returns where to go on. Each cancel is one compare-and-set on the selected record. A
// job that changes meanwhile is looked at again, and is left alone if it is no longer
// selected. With dry the jobs are only counted. After an error some may be cancelled;
// repeating the request does the rest.
func (s *Jobs) CancelEach(ctx context.Context, q job.Query, dry bool) (job.CancelRun, error) {
	q.Limit = cmp.Or(q.Limit, job.MaxCancels)
	if err := room.Of(ctx).Add(ctx, s.w.Holds()+cancelsBeside*cancelMeta); err != nil {
		return job.CancelRun{}, journal.NoRoom(err)
	}
	var cancelled, skipped atomic.Int64
	chosen := 0
	g, working := errgroup.WithContext(ctx)
	g.SetLimit(cancelsBeside)
	large := semaphore.NewWeighted(largeBeside)
	cursor, err := s.walk(working, q, func(r job.Record) bool {
		switch {
		case !q.Matches(r):
		case r.Status == job.Firing:
			skipped.Add(1)
		case !r.Status.Waiting():
		case dry:
			cancelled.Add(1)
			chosen++
		default:
			chosen++
			if len(r.Meta) > cancelMeta {
				r.Meta = nil
			}
			g.Go(func() (err error) {
				defer panics.Return(s.cfg.Log, "a job to be cancelled", s.cfg.Metrics.Panicked, &err)
				if r.Meta == nil {
					if err := large.Acquire(working, 1); err != nil {
						return err
					}
					defer large.Release(1)
				}
				return s.cancelSelected(working, q, r, &cancelled, &skipped)
			})
		}
		return chosen < q.Limit
	})
	if failed := g.Wait(); failed != nil {
		err = failed
	}
	run := job.CancelRun{Cancelled: int(cancelled.Load()), Skipped: int(skipped.Load()), Cursor: cursor}
	if err != nil && !dry {
		return run, fmt.Errorf("%w: %d jobs were cancelled, then: %v", job.ErrUnknownOutcome, run.Cancelled, err)
	}
	if err == nil && !dry && chosen > 0 {
		s.cfg.Log.Info("jobs cancelled", "db", q.DB, "collection", q.Collection, "jobs", run.Cancelled, "skipped", run.Skipped)
	}
	return run, err
}

// cancelSelected cancels the job while the query selects it.
func (s *Jobs) cancelSelected(ctx context.Context, q job.Query, r job.Record, cancelled, skipped *atomic.Int64) error {
	held := room.Of(ctx).Beside()
	defer held.Close()
	ctx = room.With(ctx, held)
	if r.Meta == nil {
		var ok bool
		var err error
		if r, ok, err = s.stillSelected(ctx, q, r.Key); err != nil || !ok {
			return err
		}
	}
	for {
		next, err := r.Cancel(s.cfg.Now())
		if errors.Is(err, job.ErrFiring) {
			skipped.Add(1)
			return nil
		}
		if err != nil {
			return nil // the job is over
		}
		_, err = s.Write(ctx, next, r.Revision)
		if err == nil {
			cancelled.Add(1)
		}
		if !errors.Is(err, job.ErrMoved) {
			return err
		}
		held.Keep(0)
		var ok bool
		if r, ok, err = s.stillSelected(ctx, q, r.Key); err != nil || !ok {
			return err
		}
	}
}

// stillSelected reads a selected job again, whole, and reports whether the query still
// selects it.
func (s *Jobs) stillSelected(ctx context.Context, q job.Query, k job.Key) (r job.Record, ok bool, err error) {
	r, found, err := s.Read(ctx, k)
	if errors.Is(err, job.ErrNotAJob) {
		return r, false, nil
	}
	return r, err == nil && found && q.Matches(r), err
}
