package streams

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"belfry/internal/job"
	"belfry/internal/panics"
)

// cancelsBeside is how many jobs are cancelled side by side, so that their
// writes share the syncs.
const cancelsBeside = 256

// CancelEach cancels jobs that the query selects and that wait, for a bounded
// time, and returns where to go on. Each is one compare-and-set on the record
// that was selected: one that changes meanwhile is looked at again, and left
// alone if it is no longer selected. With dry they are counted only. On an
// error some may be cancelled; repeating it does the rest.
func (s *Jobs) CancelEach(ctx context.Context, q job.Query, dry bool) (job.CancelRun, error) {
	q.Limit = cmp.Or(q.Limit, job.MaxCancels)
	var cancelled, skipped atomic.Int64
	chosen := 0
	g, working := errgroup.WithContext(ctx)
	g.SetLimit(cancelsBeside)
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
			g.Go(func() (err error) {
				defer panics.Return(s.cfg.Log, "a job to be cancelled", s.cfg.Metrics.Panicked, &err)
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
	for {
		next, err := r.Cancel(s.cfg.Now())
		if errors.Is(err, job.ErrFiring) {
			skipped.Add(1)
			return nil
		}
		if err != nil {
			return nil // it is over
		}
		_, err = s.write(ctx, next, r.Revision)
		if err == nil {
			cancelled.Add(1)
		}
		if !errors.Is(err, job.ErrMoved) {
			return err
		}
		var found bool
		r, found, err = s.read(ctx, r.Key)
		switch {
		case errors.Is(err, job.ErrNotAJob):
			return nil
		case err != nil:
			return err
		case !found || !q.Matches(r):
			return nil
		}
	}
}
