package job

import "cmp"

// Arming is one arming of a job: what the client asked for, and the facts that each
// of its tries carries. A [Record], the [Fire] of its claim and the [Letter] of that
// fire pass it on as a whole. A new field therefore needs no other code than its two
// codecs, one in streams and one in package backup.
type Arming struct {
	Job

	// FireID identifies this arming of the job to receivers (webhook-id). It is the
	// same on every try. Every PUT and every new creation gets a new one, since
	// receivers drop an id that they have seen.
	FireID string

	// Attempt counts the tries begun so far. The fire is the last of them.
	Attempt int

	// Redriven is when the job's dead letter was redriven, in unix milliseconds; 0
	// means never.
	Redriven int64
}

// AgesFrom is the time from which the age of the tries counts, in unix milliseconds:
// when the job's dead letter was redriven, or otherwise the trigger time.
func (a Arming) AgesFrom() int64 { return cmp.Or(a.Redriven, a.Trigger) }
