package backup

import (
	"cmp"
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"belfry/internal/job"
	"belfry/internal/panics"
	"belfry/streams/wire"
)

// startJob begins to write a job, when there is room for it.
func (r *restoration) startJob(rec job.Record) error {
	if r.writing == nil {
		r.writing, r.failed = errgroup.WithContext(r.ctx)
		r.writing.SetLimit(writesAtOnce)
	}
	weight := min(int64(rec.Size()), writeBytes)
	if r.bytes.Acquire(r.failed, weight) != nil {
		return cmp.Or(r.settleJobs(), r.ctx.Err())
	}
	ctx := r.failed
	r.writing.Go(func() (err error) {
		defer r.bytes.Release(weight)
		defer panics.Return(r.cfg.Log, "a job of a backup", r.cfg.Metrics.Panicked, &err)
		return r.job(ctx, rec)
	})
	return nil
}

// settleJobs waits until the jobs so far are written.
func (r *restoration) settleJobs() error {
	if r.writing == nil {
		return nil
	}
	err := r.writing.Wait()
	r.writing = nil
	return err
}

// job writes a job unless its key holds something that takes precedence: a newer entry of
// this backup, or what others have made of the job since. The newest of a job's entries
// stays, in whatever order and however often they come, so a restore can be repeated, and
// a lost answer settles itself.
func (r *restoration) job(ctx context.Context, rec job.Record) error {
	order := rec.Revision
	rec.Revision = 0
	p := wire.PartitionOf(rec.Key, r.partitions)
	var over job.Record // the record that it replaces
	look := r.again     // most of the backup is there already
	return until(ctx, func(ctx context.Context) (bool, error) {
		if look {
			m, found, err := r.w.LastOnLeader(ctx, r.w.Names.JobsStream(p), r.w.Names.JobSubject(p, rec.Key))
			if err != nil {
				return false, err
			}
			if run, number := wire.ParseRestoreTag(m.Header); found && !wire.IsMarker(m.Header) && (run != r.run || number >= order) {
				return true, nil
			}
			over, _, err = wire.DecodeHeaders(rec.Key, m.Seq, m.Header)
			if err != nil && !errors.Is(err, wire.ErrNoRecord) {
				return false, err
			}
		}
		look = true
		rec.Replaces = job.Position{}
		if over.Revision > 0 {
			rec.Replaces = over.Position()
		}
		m := r.jobs.NewWrite(rec, over.Revision).Msg
		m.Header[wire.HeaderRestore] = []string{wire.RestoreTag(r.run, order)}
		_, err := r.w.Send(ctx, m)
		return err == nil, err
	})
}
