package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"belfry/internal/job"
	"belfry/streams/journal"
)

// overwrite calls write to replace a value under a job's key that is not a job,
// conditional on its revision, until no other write comes between. If there is a job
// meanwhile, or nothing, the request has lost the race and must be repeated.
func (s *Jobs) overwrite(ctx context.Context, k job.Key, expect uint64, write func(revision uint64) error) error {
	pause := journal.NewBackOff(time.Millisecond, 100*time.Millisecond)
	for {
		r, _, err := s.Read(ctx, k)
		if err == nil {
			return fmt.Errorf("%w: the record has changed meanwhile", job.ErrUnknownOutcome)
		}
		if !errors.Is(err, job.ErrNotAJob) {
			return err
		}
		if expect != 0 && r.Revision != expect {
			return job.OtherRevision(r.Revision, expect)
		}
		switch err := write(r.Revision); {
		case errors.Is(err, journal.ErrConflict), errors.Is(err, job.ErrMoved):
			if !journal.Sleep(ctx, pause.NextBackOff()) {
				return fmt.Errorf("%w: too many others change the job", job.ErrUnavailable)
			}
		case errors.Is(err, journal.ErrNoAnswer):
			return fmt.Errorf("%w: %v", job.ErrUnknownOutcome, err)
		default:
			return err
		}
	}
}
