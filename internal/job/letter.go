package job

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"time"
)

// Letter is a dead letter: a fire that could not be delivered, as the DEAD stream
// keeps it.
type Letter struct {
	Fire

	// Number is the letter's own sequence in DEAD, which is its address.
	Number uint64

	// Died is when the letter was written.
	Died time.Time

	// Reason and Detail say why the job died: Reason is machine-readable, Detail is
	// for humans.
	Reason Reason
	Detail string
}

// RedriveID is the fire id that a job gets when its letter with the given fire id is
// redriven. It is a different id, since receivers drop an id that they have seen. It
// is the same for every copy of the letter and every repeat of the request. A repeat
// is therefore visible in the record; once the record is no longer kept, receivers
// can still recognize the repeat.
func RedriveID(fireID string) string {
	sum := sha256.Sum256([]byte("redrive " + fireID))
	return base32.StdEncoding.EncodeToString(sum[:])[:26]
}

// Redrive returns the record that arms the letter's job again, due now. r is the
// stored record that it replaces; found is false if there is none. A non-empty [Skip]
// says why nothing should be written.
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

// Skip is a machine-readable reason why a letter was not redriven.
type Skip string

// These are the reasons to leave a letter in place.
const (
	// SkipArmed means that the job's id has been armed again since, by a PUT, by a
	// POST, or by redriving a later letter.
	SkipArmed Skip = "armed_again"
	// SkipAlive means that the job is not dead: it has yet to end, or it was
	// delivered after the letter was written.
	SkipAlive Skip = "not_dead"
	// SkipNoRoute means that the job's route does not exist, so the job would die
	// again at once.
	SkipNoRoute Skip = "route_not_found"
	// SkipNotAJob means that the record stored under the job's key is not a job.
	SkipNotAJob Skip = "not_a_job"
	// SkipDone means that the letter was redriven before, and only the letter itself
	// was left. It counts as redriven.
	SkipDone Skip = "redriven_before"
)

// Skips lists every reason that an answer can give.
func Skips() []Skip { return []Skip{SkipArmed, SkipAlive, SkipNoRoute, SkipNotAJob} }

// LetterQuery selects dead letters of one db. A zero field selects all.
type LetterQuery struct {
	DB     string
	Route  string
	Reason Reason

	// After and Before bound the time of death, in unix milliseconds: After is
	// included, Before is not.
	After, Before int64

	// Limit is the largest number of letters to return; 0 means [DefaultLetters].
	Limit int

	// Cursor is where to continue; zero means the start.
	Cursor LetterCursor
}

// LetterCursor is how far a walk over the letters has come: the number to continue
// at, and the last number that existed when the walk began. A walk therefore ends
// even if the jobs that it redrives die again.
type LetterCursor struct{ Next, Last uint64 }

// These are the numbers of letters in one request.
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

// Matches reports whether the query selects the letter. It does not look at the
// letter's position.
func (q LetterQuery) Matches(l Letter) bool {
	died := l.Died.UnixMilli()
	return l.DB == q.DB && (q.Route == "" || l.Route == q.Route) && (q.Reason == "" || l.Reason == q.Reason) &&
		died >= q.After && (q.Before == 0 || died < q.Before)
}

// Letters are some of the letters that a query selects, oldest first and without
// their meta. A non-zero Cursor says that there may be more.
type Letters struct {
	Letters []Letter
	Cursor  LetterCursor
}

// LetterRun is the outcome of a request to redrive or discard letters. A non-zero
// Cursor says that there may be more.
type LetterRun struct {
	Done    int
	Skipped []SkippedLetter
	Cursor  LetterCursor
}

// SkippedLetter is a letter that was left in place, and why.
type SkippedLetter struct {
	Key
	Number uint64
	Why    Skip
}
