package job

import (
	"fmt"
	"time"
)

// The functions in this file are the arrows of the diagram at [Status]. Each takes
// the current record and returns the one to write over it. The caller writes it with
// a compare-and-set on the old record's revision. The functions leave Op to the
// writer.

// New returns the first record of a job. It is due at its trigger time, or at once if
// that time is past.
func New(j Job, fireID string) Record {
	return Record{Arming: Arming{Job: j, FireID: fireID}, Status: Scheduled, Due: j.Trigger, Arms: true}
}

// Rearm returns r replaced by a new arming of the job: its content was changed, or
// its id was created again. It fails with [ErrFiring] if a try is under way.
func (r Record) Rearm(j Job, fireID string) (Record, error) {
	if r.Status == Firing {
		return Record{}, fmt.Errorf("%w: status is %q", ErrFiring, r.Status)
	}
	n := New(j, fireID)
	n.Replaces = r.Position()
	return n, nil
}

// Cancel returns r cancelled. It fails with [ErrFiring] if a try is under way and
// with [ErrFinished] if the job is over.
func (r Record) Cancel(now time.Time) (Record, error) {
	if err := r.mayChange(); err != nil {
		return Record{}, err
	}
	return r.final(Cancelled, now), nil
}

// Change returns r with other content, for a job that is waiting. It fails like
// [Record.Cancel].
func (r Record) Change(j Job, fireID string) (Record, error) {
	if err := r.mayChange(); err != nil {
		return Record{}, err
	}
	return r.Rearm(j, fireID)
}

// Hasten returns r due now. The fire id, the attempts and everything the client gave
// stay the same. It fails like [Record.Cancel].
func (r Record) Hasten(now time.Time) (Record, error) {
	if err := r.mayChange(); err != nil {
		return Record{}, err
	}
	n := r
	n.Due = now.UnixMilli()
	n.Replaces = r.Position()
	return n, nil
}

// Expire returns the scheduled record r ended by a [TooLate] result, before any try.
func (r Record) Expire(res Result, now time.Time) Record {
	n := r.final(res.Status, now)
	n.Reason, n.Detail = res.Reason, res.Detail
	return n
}

func (r Record) mayChange() error {
	switch {
	case r.Status == Firing:
		return fmt.Errorf("%w: status is %q", ErrFiring, r.Status)
	case r.Status.Final():
		return fmt.Errorf("%w: status is %q", ErrFinished, r.Status)
	}
	return nil
}

// Claim returns r claimed by the timer for one try. epoch is the owner's fence,
// firesAfter is the highest fire that the owner has seen, and patience is how long
// the claim may stay unfinished before it is made again. A record without a fire id
// gets fireID. Claiming a firing record again does not count as a new attempt: its
// try was never finished, and its lateness stays the same.
func (r Record) Claim(now time.Time, epoch, firesAfter uint64, patience time.Duration, fireID string) Record {
	n := r
	n.Status = Firing
	n.Due = now.Add(patience).UnixMilli()
	n.Epoch, n.FiresAfter = epoch, firesAfter
	n.Replaces = r.Position()
	if r.Status == Firing {
		n.Replaces.Due = r.Replaces.Due
	} else {
		n.Attempt++
	}
	if n.FireID == "" {
		n.FireID = fireID
	}
	return n
}

// Finish returns the claimed record r with the result of its try. It panics if the
// outcome has no arrow from firing, since that is a caller's mistake.
func (r Record) Finish(res Result, now time.Time) Record {
	if !r.Status.CanBecome(res.Status) || res.Status == Firing {
		panic(fmt.Sprintf("job: no transition from %q to %q", r.Status, res.Status))
	}
	var n Record
	switch res.Status {
	case Retrying:
		n = r.wait(Retrying, res.RetryAt)
	case Scheduled:
		n = r.putBack(res.RetryAt)
	default:
		n = r.final(res.Status, now)
	}
	n.Reason, n.Detail = res.Reason, res.Detail
	return n
}

// putBack returns the claimed record r waiting again as before its claim, since no
// try was made.
func (r Record) putBack(due int64) Record {
	n := r.wait(Scheduled, due)
	n.Attempt = max(r.Attempt-1, 0)
	if n.Attempt > 0 {
		n.Status = Retrying
	}
	return n
}

func (r Record) wait(s Status, due int64) Record {
	n := r
	n.Status, n.Due = s, due
	n.Epoch, n.FiresAfter = 0, 0
	n.Replaces = r.Position()
	return n
}

func (r Record) final(s Status, now time.Time) Record {
	n := r
	n.Status = s
	n.Due = 0
	n.Finished = now.UnixMilli()
	n.Epoch, n.FiresAfter = 0, 0
	n.Replaces = r.Position()
	return n
}
