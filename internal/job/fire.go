package job

import (
	"fmt"
	"time"
)

// Fire is one try of one job, as it stands in the FIRES stream.
type Fire struct {
	Arming

	// Claim is the revision of the record that this fire was published for.
	// The fire is valid while the record is at that revision.
	Claim uint64

	// Seq is the fire's place in FIRES, Published when it got there.
	Seq       uint64
	Published time.Time

	// Fired is when the timer published it, by the clock of its node, which is
	// the one that opens gates. It is zero if that is not known.
	Fired time.Time

	// Times counts how often this fire was handed out, this time included.
	Times int
}

// Record returns the claim that the fire was published for, as far as the fire
// shows it.
func (f Fire) Record() Record { return Record{Arming: f.Arming, Status: Firing, Revision: f.Claim} }

// Handover is a fire handed to a worker, which owes it an Ack.
type Handover struct {
	Fire

	// Ack says that nothing is left to do; without it the fire is handed out
	// again after the wait of its consumer.
	Ack func() error

	// Extend restarts that wait.
	Extend func() error

	// Release says that the fire is not held in memory any more; nil is that
	// nobody needs to know.
	Release func()
}

// Released calls Release if there is one.
func (h Handover) Released() {
	if h.Release != nil {
		h.Release()
	}
}

// Result is how a try ended: the status the job gets, and why.
type Result struct {
	// Status is one that a firing job can become. [Scheduled] is a try that was
	// not made: the job waits as before.
	Status Status

	// RetryAt is when the next try is due, in unix milliseconds; only for
	// [Retrying] and [Scheduled].
	RetryAt int64

	// Reason and Detail say what went wrong; empty for a success, and of a try
	// that was not made those of the last one.
	Reason Reason
	Detail string
}

// TooLate is the result of a first try that would begin so late, where at most
// most is wanted.
func TooLate(late, most time.Duration) Result {
	return Result{Status: Expired, Reason: ReasonTooLate,
		Detail: fmt.Sprintf("%d ms late, of %d at most", late.Milliseconds(), most.Milliseconds())}
}

// Standing is what a worker has to do with a fire it was handed.
type Standing int

// The standings.
const (
	// Valid: the record is at the fire's claim; deliver it.
	Valid Standing = iota
	// Superseded: the record has moved on; skip the fire and ack it.
	Superseded
	// Buried: the job died on this very fire, whose copy in DEAD may be
	// missing; write that again, then ack.
	Buried
	// Undecided: the record seen is older than the fire's claim, or missing;
	// ask the leader, and believe it.
	Undecided
)

// Judge is the worker's rule: a fire is delivered if and only if the record is
// at the revision of the fire's claim and has its fire id. found is false when
// there is no record.
func Judge(f Fire, r Record, found bool) Standing {
	switch {
	case !found || r.Revision < f.Claim:
		return Undecided
	case r.Revision == f.Claim && r.FireID == f.FireID && r.Status == Firing:
		return Valid
	case r.Status == Dead && r.FireID == f.FireID && r.Replaces.Seq == f.Claim:
		return Buried
	}
	return Superseded
}
