package job

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"time"
)

// Letter is a dead letter: a fire that could not be delivered, as the stream
// DEAD keeps it.
type Letter struct {
	Fire

	// Number is the letter's own place in DEAD, by which it is addressed.
	Number uint64

	// Died is when the letter was written.
	Died time.Time

	// Reason and Detail say why, for robots and for people.
	Reason Reason
	Detail string
}

// RedriveID is the fire id that redriving a letter with the given one gives to
// its job. It is another one, since receivers drop an id that they have seen,
// and it is the same for every copy of the letter and every repeat of the
// request: so a repeat shows in the record as done, and to a receiver as a
// repeat when the record is no longer kept.
func RedriveID(fireID string) string {
	sum := sha256.Sum256([]byte("redrive " + fireID))
	return base32.StdEncoding.EncodeToString(sum[:])[:26]
}

// Redrive returns the record that arms the letter's job again, due now, over
// the record r that is stored; found is false when none is. A [Skip] other
// than empty says why nothing is to be written.
func (l Letter) Redrive(r Record, found bool, now time.Time) (Record, Skip) {
	n := New(l.Job, RedriveID(l.FireID))
	n.Due = now.UnixMilli()
	n.Redriven = n.Due
	switch {
	case !found:
		return n, ""
	case r.FireID == n.FireID:
		return r, SkipDone
	case r.FireID != l.FireID:
		return r, SkipArmed
	case r.Status != Dead && r.Status != Published:
		return r, SkipAlive
	}
	n.Replaces = r.Position()
	return n, ""
}

// Skip is why a letter was not redriven, for robots.
type Skip string

// The reasons to leave a letter where it is.
const (
	// SkipArmed: the job's id has been armed again since, with a PUT, a POST
	// or by redriving a later letter.
	SkipArmed Skip = "armed_again"
	// SkipAlive: the job is not dead; it has yet to end, or came through
	// after the letter was written.
	SkipAlive Skip = "not_dead"
	// SkipNoRoute: its route does not exist, so it would die again at once.
	SkipNoRoute Skip = "route_not_found"
	// SkipNotAJob: what is stored under its key is not a job.
	SkipNotAJob Skip = "not_a_job"
	// SkipDone: it was redriven before, and only the letter was still there.
	// It counts as redriven.
	SkipDone Skip = "redriven_before"
)

// Skips lists every reason that an answer can give.
func Skips() []Skip { return []Skip{SkipArmed, SkipAlive, SkipNoRoute, SkipNotAJob} }

// LetterQuery selects dead letters of one db. A zero field selects all.
type LetterQuery struct {
	DB     string
	Route  string
	Reason Reason

	// After and Before bound the time of death, in unix milliseconds: from
	// After on, up to but without Before.
	After, Before int64

	// Limit is how many letters are wanted at most; 0 is [DefaultLetters].
	Limit int

	// Cursor is where to go on; zero is the start.
	Cursor LetterCursor
}

// LetterCursor is how far a walk over the letters has come: the number it goes
// on at, and the last one there was when it began. So a walk ends even if the
// jobs that it redrives die again.
type LetterCursor struct{ Next, Last uint64 }

// The number of letters of one request.
const (
	DefaultLetters = 100
	MaxLetters     = 1000
)

// Filtered reports whether the query has a filter.
func (q LetterQuery) Filtered() bool {
	return q.Route != "" || q.Reason != "" || q.After != 0 || q.Before != 0
}

// Check validates the query. The errors wrap [ErrFilter] and [ErrID].
func (q LetterQuery) Check() error {
	if err := CheckID("db", q.DB); err != nil {
		return err
	}
	if q.Route != "" {
		if err := CheckID("route", q.Route); err != nil {
			return err
		}
	}
	switch {
	case q.Reason != "" && !q.Reason.Known():
		return fmt.Errorf("%w: reason is %s; accepted are %v", ErrFilter, Quote(string(q.Reason)), Reasons())
	case q.Limit < 0 || q.Limit > MaxLetters:
		return fmt.Errorf("%w: limit is %d; 1 to %d are accepted", ErrFilter, q.Limit, MaxLetters)
	}
	return cmp.Or(checkTimeFilter("after", q.After), checkTimeFilter("before", q.Before))
}

// Matches reports whether the query selects the letter, whatever its place.
func (q LetterQuery) Matches(l Letter) bool {
	died := l.Died.UnixMilli()
	return l.DB == q.DB && (q.Route == "" || l.Route == q.Route) && (q.Reason == "" || l.Reason == q.Reason) &&
		died >= q.After && (q.Before == 0 || died < q.Before)
}

// Letters are some of the letters that a query selects, oldest first and
// without their meta. A Cursor that is not zero says that there may be more.
type Letters struct {
	Letters []Letter
	Cursor  LetterCursor
}

// LetterRun is what became of the letters that were to be redriven or
// discarded. A Cursor that is not zero says that there may be more.
type LetterRun struct {
	Done    int
	Skipped []SkippedLetter
	Cursor  LetterCursor
}

// SkippedLetter is a letter that was left where it is, and why.
type SkippedLetter struct {
	Key
	Number uint64
	Why    Skip
}
