package job

import "cmp"

// Arming is one arming of a job: what the client asked for, and the facts that each
// of its tries carries. A [Record], the [Fire] of its claim and the [Letter] of that
// fire pass it on as a whole, so a new field needs no other code than its codecs: in
// streams and in package backup.
type Arming struct {
	Job

	// FireID identifies this arming of the job to receivers (webhook-id). It
	// is the same on every try, and new after every PUT or new creation,
	// since receivers drop an id that they have seen.
	FireID string

	// Attempt counts the tries begun so far. A fire is the last of them.
	Attempt int

	// Redriven is when the job's dead letter was redriven, in unix
	// milliseconds; 0 is never.
	Redriven int64
}

// AgesFrom is when the age of the tries counts from, in unix milliseconds: the redrive
// of the job's dead letter, or else the trigger time.
func (a Arming) AgesFrom() int64 { return cmp.Or(a.Redriven, a.Trigger) }
