package timer

import (
	"context"
	"errors"
	"time"

	"belfry/internal/job"
)

// tooLate reports whether the due record r is for a NATS route and too late for it, and
// how the job ends then. For REST routes the worker decides, because it knows when a try
// begins; here a try begins now.
func (t *Timer) tooLate(r job.Record) (job.Result, bool) {
	route, known := t.routes.Peek(r.RouteKey())
	if !known || route.Type != job.NATS || route.MaxLateness == 0 || r.Status != job.Scheduled {
		return job.Result{}, false
	}
	late := t.now().Sub(time.UnixMilli(r.Due))
	return job.TooLate(late, route.MaxLateness), late > route.MaxLateness
}

// expire is the step that ends a due record without a claim, so that a crash leaves
// nothing that could still be published.
func (t *Timer) expire(r job.Record, res job.Result) step {
	p := t.jobs.NewWrite(r.Expire(res, t.now()), r.Revision)
	return step{p.Msg, func(uint64) { t.fireEnded(r) }, func(ctx context.Context, seq uint64, err error) {
		defer t.fireEnded(r)
		try, cancel := context.WithTimeout(ctx, claimPatience)
		defer cancel()
		if _, err := p.Conclude(try, seq, err); err != nil {
			// A record that was not written becomes due again; a written one is found
			// gone.
			t.unclaimed(ctx, r.Revision, errors.Is(err, job.ErrMoved))
		}
	}}
}
