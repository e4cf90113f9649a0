package job

import (
	"cmp"
	"fmt"
	"strings"
)

// Query selects jobs of one db. A zero field selects all.
type Query struct {
	DB         string
	Collection string
	Status     Status
	Route      string

	// DueAfter and DueBefore bound the trigger time, in unix milliseconds: DueAfter
	// is included, DueBefore is not.
	DueAfter, DueBefore int64

	// Prefix is how the id begins.
	Prefix string

	// Limit is the largest number of jobs to return; 0 means the default of the
	// request.
	Limit int

	// Cursor is where to continue; zero means the start.
	Cursor Cursor
}

// Cursor is how far a walk over the jobs has come: the part of the store that it is
// in, and the revision in that part to continue at. Revision 0 means that the part is
// not begun. Narrow is how the walk reads the part.
//
// A job that changes during the walk gets a higher revision, so the walk reaches it,
// maybe for the second time. No job is missed.
type Cursor struct {
	Part   int
	Next   uint64
	Narrow bool
}

// These are the numbers of jobs in one request.
const (
	DefaultJobs = 100
	MaxJobs     = 1000
	// MaxCancels is both the limit and the default of a request to cancel.
	MaxCancels = 10_000
)

// Filtered reports whether the query has a filter within its db and collection.
func (q Query) Filtered() bool {
	return q.Status != "" || q.Route != "" || q.DueAfter != 0 || q.DueBefore != 0 || q.Prefix != ""
}

// Check validates the query. The errors wrap [ErrFilter] and [ErrID].
func (q Query) Check() error {
	if err := CheckID("db", q.DB); err != nil {
		return err
	}
	for _, id := range []struct{ field, value string }{
		{"collection", q.Collection}, {"route", q.Route}, {"prefix", q.Prefix},
	} {
		if id.value == "" {
			continue
		}
		if err := CheckID(id.field, id.value); err != nil {
			return err
		}
	}
	if q.Status != "" && !q.Status.Known() {
		return fmt.Errorf("%w: status is %s; accepted are %v", ErrFilter, Quote(string(q.Status)), Statuses())
	}
	return cmp.Or(checkTimeFilter("due_after", q.DueAfter), checkTimeFilter("due_before", q.DueBefore))
}

// MatchesKey reports whether the query selects jobs under the key.
func (q Query) MatchesKey(k Key) bool {
	return k.DB == q.DB && (q.Collection == "" || k.Collection == q.Collection) && strings.HasPrefix(k.ID, q.Prefix)
}

// Matches reports whether the query selects the job. It does not look at the job's
// position.
func (q Query) Matches(r Record) bool {
	return q.MatchesKey(r.Key) && (q.Status == "" || r.Status == q.Status) && (q.Route == "" || r.Route == q.Route) &&
		r.Trigger >= q.DueAfter && (q.DueBefore == 0 || r.Trigger < q.DueBefore)
}

// Page is some of the jobs that a query selects, without their meta. A non-zero
// Cursor says that there may be more.
type Page struct {
	Jobs   []Record
	Cursor Cursor
}

// CancelRun is the outcome of a request to cancel jobs. Skipped counts the jobs that
// had begun to fire. A non-zero Cursor says that there may be more.
type CancelRun struct {
	Cancelled int
	Skipped   int
	Cursor    Cursor
}

// PlaceQuery asks for the dbs that have jobs or routes. With a DB it asks for the
// collections in that db that have jobs.
type PlaceQuery struct {
	DB     string
	Limit  int // 0 is [DefaultJobs]
	Cursor Cursor
}

// Place is a db or a collection, and how much is in it.
type Place struct {
	Name   string
	Jobs   uint64 // in every state, while they are kept
	Routes int    // of a db
}

// Places are some of the places that a query selects. A non-zero Cursor says that
// there may be more.
type Places struct {
	Places []Place
	Cursor Cursor
}

// RouteQuery asks for the routes of a db that come after the id After, in the order
// of their ids.
type RouteQuery struct {
	DB    string
	After string
	Limit int // 0 is [DefaultJobs]
}

// RoutePage is some of the routes of a db. More says that others follow the last one.
type RoutePage struct {
	Routes []Route
	More   bool
}
