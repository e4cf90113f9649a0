package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"belfry/internal/job"
	"belfry/streams/wire"
)

// Standing applies the worker's rule to a fire, and returns the record that it judged by.
// The tail or any replica may answer. The leader is asked when that answer is an older
// record or none, since the claim may not be there yet, and when the fire is a
// redelivery, since its end may not be there yet. [job.Undecided] means that the fire
// must wait unacked. Either there is no record, which is trusted only once every final
// state of the fire's time has expired, or the claim is overdue and about to be made
// anew.
func (s *Jobs) Standing(ctx context.Context, f job.Fire) (job.Standing, job.Record, error) {
	if f.Times <= 1 {
		if r, ok := s.index.Partition(wire.PartitionOf(f.Key, s.partitions)).Record(f); ok {
			return s.unlessOverdue(job.Judge(f, r, true), r), r, nil
		}
		r, found, err := s.readAnywhere(ctx, f.Key)
		if st := job.Judge(f, r, found); err == nil && st != job.Undecided {
			return s.unlessOverdue(st, r), r, nil
		}
	}
	return s.standingOnLeader(ctx, f)
}

// standingOnLeader is [Jobs.Standing] judged by the leader's record.
func (s *Jobs) standingOnLeader(ctx context.Context, f job.Fire) (job.Standing, job.Record, error) {
	r, found, err := s.Read(ctx, f.Key)
	switch {
	case errors.Is(err, job.ErrNotAJob):
		return job.Superseded, r, nil // overwritten from outside
	case err != nil:
		return job.Undecided, r, err
	case !found && r.Revision > f.Claim:
		return job.Superseded, r, nil // deleted from outside
	case !found && s.cfg.Now().Sub(f.Published) > s.cfg.HistoryTTL+time.Minute:
		// It has expired, unless the server that says so was asleep that long.
		if r, err = s.Get(ctx, f.Key); errors.Is(err, job.ErrJobNotFound) {
			return job.Superseded, r, nil
		}
		if err != nil {
			return job.Undecided, r, err
		}
		found = true
	}
	return s.unlessOverdue(job.Judge(f, r, found), r), r, nil
}

// unlessOverdue keeps a fire from being delivered while the timer claims its job anew.
func (s *Jobs) unlessOverdue(st job.Standing, r job.Record) job.Standing {
	if st == job.Valid && r.Due <= s.cfg.Now().UnixMilli() {
		return job.Undecided
	}
	return st
}

// readAnywhere returns the record as the tail or any replica has it, which is cheap.
func (s *Jobs) readAnywhere(ctx context.Context, k job.Key) (job.Record, bool, error) {
	p := wire.PartitionOf(k, s.partitions)
	m, found, err := s.w.LastOnReplica(ctx, s.w.Names.JobsStream(p), s.w.Names.JobSubject(p, k))
	if err != nil || !found {
		return job.Record{}, false, err
	}
	r, err := s.Decode(k, m.Seq, m.Header, m.Data)
	return r, err == nil, err
}

// Finish overwrites the claim with the result of the fire's try, and then, for a dead
// job, writes the copy in DEAD. If the record has moved on, it is left alone without an
// error: the fire was superseded.
func (s *Jobs) Finish(ctx context.Context, f job.Fire, res job.Result) error {
	_, err := s.Write(ctx, f.Record().Finish(res, s.cfg.Now()), f.Claim)
	switch {
	case errors.Is(err, job.ErrMoved):
		// This very result may have moved it on, and only the dead letter is missing. The
		// tail and the replicas may not have seen it yet.
		st, r, err := s.standingOnLeader(ctx, f)
		switch {
		case err != nil:
			return err
		case st == job.Superseded && r.Revision == 0 && res.Status == job.Dead:
			return s.Bury(ctx, f, res) // the death itself may have expired
		case st == job.Superseded:
			return nil
		case st == job.Buried:
			return s.Bury(ctx, f, job.Result{Reason: r.Reason, Detail: r.Detail})
		}
		return fmt.Errorf("%w: the record was said to have moved on, and is %s", job.ErrUnavailable, r.Status)
	case err == nil && res.Status == job.Dead:
		return s.Bury(ctx, f, res)
	}
	return err
}

// Bury copies a fire into DEAD, with the reason. DEAD may end up with two copies.
func (s *Jobs) Bury(ctx context.Context, f job.Fire, res job.Result) error {
	return s.dead.Bury(ctx, f, res.Reason, res.Detail)
}
