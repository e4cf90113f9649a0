package streams

import (
	"context"
	"errors"
	"fmt"
	"time"

	"belfry/internal/job"
)

// Standing applies the worker's rule to a fire, and returns the record that it
// judged by. A replica may not have seen the claim yet, so an older record or
// none is looked up on the leader; and none there is believed only once every
// final state of the fire's time has expired, else it is [job.Undecided].
func (s *Jobs) Standing(ctx context.Context, f job.Fire) (job.Standing, job.Record, error) {
	r, found, err := s.readAnywhere(ctx, f.Key)
	if err == nil {
		if st := job.Judge(f, r, found); st != job.Undecided {
			return st, r, nil
		}
	}
	r, found, err = s.read(ctx, f.Key)
	if errors.Is(err, job.ErrNotAJob) {
		return job.Superseded, r, nil // overwritten from outside
	}
	if err != nil {
		return job.Undecided, r, err
	}
	if !found && s.cfg.Now().Sub(f.Published) > s.cfg.HistoryTTL+time.Minute {
		return job.Superseded, r, nil
	}
	return job.Judge(f, r, found), r, nil
}

// readAnywhere returns the record as any replica has it, which is cheap.
func (s *Jobs) readAnywhere(ctx context.Context, k job.Key) (job.Record, bool, error) {
	p := partitionOf(k, partitions)
	m, found, err := s.w.lastOnReplica(ctx, jobsStream(p), jobSubject(p, k))
	if err != nil || !found {
		return job.Record{}, false, err
	}
	r, err := decodeRecord(k, m.Seq, m.Header, m.Data)
	return r, err == nil, err
}

// Finish writes how the fire's try ended over its claim, and for a dead job
// the copy in DEAD after that. A record that has moved on is left alone, which
// is no error: the fire was superseded.
func (s *Jobs) Finish(ctx context.Context, f job.Fire, res job.Result) error {
	claim := job.Record{
		Job:      job.Job{Key: f.Key, Trigger: f.Trigger, Meta: f.Meta, Route: f.Route},
		Status:   job.Firing,
		FireID:   f.ID,
		Attempt:  f.Attempt,
		Revision: f.Claim,
	}
	_, err := s.write(ctx, claim.Finish(res, s.cfg.Now()), f.Claim)
	switch {
	case errors.Is(err, job.ErrMoved):
		// Perhaps by this very result, when only the dead letter is missing.
		st, r, err := s.Standing(ctx, f)
		if err != nil || st != job.Buried {
			return err
		}
		return s.Bury(ctx, f, job.Result{Reason: r.Reason, Detail: r.Detail})
	case err == nil && res.Status == job.Dead:
		return s.Bury(ctx, f, res)
	}
	return err
}

// Bury copies a fire into DEAD, with the reason. It may come to stand there
// twice.
func (s *Jobs) Bury(ctx context.Context, f job.Fire, res job.Result) error {
	return s.dead.bury(ctx, f, res.Reason, res.Detail)
}

// deadLetters writes the stream DEAD.
type deadLetters struct {
	w   *writer
	now func() time.Time
}

func (d *deadLetters) bury(ctx context.Context, f job.Fire, reason job.Reason, detail string) error {
	if _, err := d.w.send(ctx, encodeDead(f, reason, detail, d.now())); err != nil {
		return fmt.Errorf("%w: couldn't write the dead letter: %v", job.ErrUnavailable, err)
	}
	return nil
}
