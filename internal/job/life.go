package job

import (
	"fmt"
	"time"
)

// The functions of this file are the arrows of the diagram at [Status]. Each
// takes the record as it is and returns the one to write over it; the caller
// writes it with a compare-and-set on the old one's revision. They leave Op to
// the writer.

// New returns the first record of a job. It is due at its trigger time, at
// once if that is past.
func New(j Job, fireID string) Record {
	return Record{Arming: Arming{Job: j, FireID: fireID}, Status: Scheduled, Due: j.Trigger, Arms: true}
}

// Rearm returns r replaced by a new arming of the job: a changed content, or
// the same id created again. It fails with [ErrFiring] when a try is under
// way.
func (r Record) Rearm(j Job, fireID string) (Record, error) {
	if r.Status == Firing {
		return Record{}, fmt.Errorf("%w: status is %q", ErrFiring, r.Status)
	}
	n := New(j, fireID)
	n.Replaces = r.Position()
	return n, nil
}

// Cancel returns r cancelled. It fails with [ErrFiring] when a try is under
// way and with [ErrFinished] when the job is over.
func (r Record) Cancel(now time.Time) (Record, error) {
	if err := r.mayChange(); err != nil {
		return Record{}, err
	}
	return r.final(Cancelled, now), nil
}

// Change returns r with another content, for a job that waits. It fails like
// [Record.Cancel].
func (r Record) Change(j Job, fireID string) (Record, error) {
	if err := r.mayChange(); err != nil {
		return Record{}, err
	}
	return r.Rearm(j, fireID)
}

// Hasten returns r due now, with its fire id, its attempts and all that the
// client gave. It fails like [Record.Cancel].
func (r Record) Hasten(now time.Time) (Record, error) {
	if err := r.mayChange(); err != nil {
		return Record{}, err
	}
	n := r
	n.Due = now.UnixMilli()
	n.Replaces = r.Position()
	return n, nil
}

// Expire returns the scheduled record r ended by a result of [TooLate], before any
// try.
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

// Claim returns r taken by the timer for one try. epoch is the owner's fence,
// firesAfter the highest fire it has seen, and patience how long the claim may
// stay unfinished before it is made anew. A record that came without a fire id
// gets fireID. Claiming a firing record again does not count a new attempt:
// its try was never finished, and is as late as it is.
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

// Finish returns the claimed record r with the result of its try. An outcome
// that is no arrow from firing is a mistake of the caller and panics.
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

// putBack returns the claimed record r waiting again as before its claim, since
// no try was made.
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
