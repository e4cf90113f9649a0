package job

import (
	"fmt"
	"time"
)

// Fire is one try of one job, as the FIRES stream stores it.
type Fire struct {
	Arming

	// Claim is the revision of the record that this fire was published for. The fire
	// is valid while the record is at that revision.
	Claim uint64

	// Seq is the fire's sequence in FIRES, and Published is when it was stored there.
	Seq       uint64
	Published time.Time

	// Fired is when the timer published the fire, by the clock of its node, which is
	// the node that opens gates. It is zero if the time is not known.
	Fired time.Time

	// Times counts how often this fire was handed out, including this time.
	Times int
}

// Record returns the claim that the fire was published for, as far as the fire shows
// it.
func (f Fire) Record() Record { return Record{Arming: f.Arming, Status: Firing, Revision: f.Claim} }

// Handover is a fire handed to a worker, which owes it an Ack.
type Handover struct {
	Fire

	// Ack says that nothing is left to do. Without it the fire is handed out again
	// after its consumer's wait.
	Ack func() error

	// Extend restarts that wait.
	Extend func() error

	// Release says that the fire is no longer held in memory; nil means that nobody
	// needs to know.
	Release func()
}

// Released calls Release if there is one.
func (h Handover) Released() {
	if h.Release != nil {
		h.Release()
	}
}

// Result is how a try ended: the status that the job gets, and why.
type Result struct {
	// Status is a status that a firing job can change to. [Scheduled] means that the
	// try was not made: the job waits as before.
	Status Status

	// RetryAt is when the next try is due, in unix milliseconds. It is set for
	// [Retrying] and [Scheduled] only.
	RetryAt int64

	// Reason and Detail say what went wrong. They are empty after a success. If the
	// try was not made, they are those of the last try.
	Reason Reason
	Detail string
}

// TooLate returns the result of a first try that would begin late after its due time,
// on a route that accepts a delay of at most most.
func TooLate(late, most time.Duration) Result {
	return Result{Status: Expired, Reason: ReasonTooLate,
		Detail: fmt.Sprintf("%d ms late, of %d at most", late.Milliseconds(), most.Milliseconds())}
}

// Standing is what a worker must do with a fire that it was handed.
type Standing int

// These are the standings.
const (
	// Valid means that the record is at the fire's claim: deliver the fire.
	Valid Standing = iota
	// Superseded means that the record has moved on: skip the fire and ack it.
	Superseded
	// Buried means that the job died on this very fire, and its copy in DEAD may be
	// missing: write the copy again, then ack.
	Buried
	// Undecided means that the record seen is older than the fire's claim, or
	// missing: ask the leader, and trust its answer.
	Undecided
)

// Judge is the worker's rule: a fire is delivered if and only if the record is at the
// revision of the fire's claim and has its fire id. found is false if there is no
// record.
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
