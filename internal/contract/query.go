package contract

import (
	"bytes"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/job"
)

// The filters of jobs, in a query string and in a body alike.
var jobFilters = []string{"status", "route", "due_after", "due_before", "prefix", "limit", "cursor"}

// ParseQuery reads the query string of a list of jobs, of a whole db if
// collection is empty. The errors wrap [job.ErrFilter] and [job.ErrID].
func ParseQuery(raw, db, collection string) (job.Query, error) {
	q := job.Query{DB: db, Collection: collection}
	err := eachParameter(raw, func(name, value string) error { return setJobFilter(&q, name, value, job.MaxJobs) })
	if err != nil {
		return q, err
	}
	return q, q.Check()
}

// eachParameter hands the parameters of a query string to set, each of which
// may be given once.
func eachParameter(raw string, set func(name, value string) error) error {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return fmt.Errorf("%w: the query string is not percent-encoded", job.ErrFilter)
	}
	for name, given := range values {
		if len(given) > 1 {
			return fmt.Errorf("%w: %s is given %d times; once is accepted", job.ErrFilter, job.Quote(name), len(given))
		}
		if err := set(name, given[0]); err != nil {
			return err
		}
	}
	return nil
}

// ParseCancel reads the body that says which jobs to cancel: the filters of
// [ParseQuery], or "all": true instead, without either of which it is
// [job.ErrNoFilter]. dry says that they are only to be counted.
func ParseCancel(body []byte, db, collection string) (q job.Query, dry bool, err error) {
	q = job.Query{DB: db, Collection: collection}
	all := false
	fields := append([]field{boolField("all", &all), boolField("dry_run", &dry)}, jobFilterFields(&q, job.MaxCancels)...)
	if err := readObject(body, fields...); err != nil {
		return q, dry, err
	}
	switch {
	case !q.Filtered() && !all:
		return q, dry, fmt.Errorf(`%w: one or more of status, route, due_after, due_before, prefix are accepted, or "all": true`, job.ErrNoFilter)
	case q.Filtered() && all:
		return q, dry, fmt.Errorf(`%w: "all": true stands beside a filter; either is accepted`, job.ErrFilter)
	}
	return q, dry, q.Check()
}

// ParseFind reads the body that says which jobs to list, of a whole db if
// collection is empty: the filters of [ParseQuery], none of which is needed, nor
// is the object.
func ParseFind(body []byte, db, collection string) (job.Query, error) {
	q := job.Query{DB: db, Collection: collection}
	if len(bytes.TrimSpace(body)) == 0 {
		return q, nil
	}
	if err := readObject(body, jobFilterFields(&q, job.MaxJobs)...); err != nil {
		return q, err
	}
	return q, q.Check()
}

// jobFilterFields reads the filters of jobs as fields of a body.
func jobFilterFields(q *job.Query, maxLimit int) []field {
	return parameterFields(jobFilters, func(name, value string) error { return setJobFilter(q, name, value, maxLimit) })
}

// parameterFields reads what are parameters in a query string as fields of a
// body: numbers are numbers there, and all else is strings.
func parameterFields(names []string, set func(name, value string) error) []field {
	var fields []field
	for _, name := range names {
		fields = append(fields, field{name, false, func(value jsontext.Value) error {
			text := string(value)
			switch name {
			case "due_after", "due_before", "after", "before", "limit":
				if value.Kind() != '0' {
					return typeError(name, value, "a number is accepted")
				}
			default:
				if err := readString(name, value, &text); err != nil {
					return err
				}
			}
			return set(name, text)
		}})
	}
	return fields
}

// setJobFilter sets one field of the query. Empty values are refused: they
// would select everything.
func setJobFilter(q *job.Query, name, value string, maxLimit int) (err error) {
	switch name {
	case "status":
		if q.Status = job.Status(value); value == "" {
			err = fmt.Errorf("%w: status is empty; accepted are %v", job.ErrFilter, job.Statuses())
		}
	case "route":
		q.Route, err = value, job.CheckID("route", value)
	case "prefix":
		q.Prefix, err = value, job.CheckID("prefix", value)
	case "due_after":
		q.DueAfter, err = parseNumber(name, value, 0)
	case "due_before":
		q.DueBefore, err = parseNumber(name, value, 1)
	case "limit":
		q.Limit, err = parseLimit(value, maxLimit)
	case "cursor":
		q.Cursor, err = parseJobCursor(value)
	default:
		err = unknownFilter(name, jobFilters)
	}
	return err
}

func unknownFilter(name string, accepted []string) error {
	return fmt.Errorf("%w: %s is unknown; accepted are %s", job.ErrFilter, job.Quote(name), strings.Join(accepted, ", "))
}

func parseNumber(name, value string, least int64) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < least {
		return 0, fmt.Errorf("%w: %s is %s; a whole number from %d on is accepted", job.ErrFilter, name, job.Quote(value), least)
	}
	return n, nil
}

func parseLimit(value string, most int) (int, error) {
	n, err := parseNumber("limit", value, 1)
	if err == nil && n > int64(most) {
		err = fmt.Errorf("%w: limit is %d; 1 to %d are accepted", job.ErrFilter, n, most)
	}
	return int(n), err
}

// A cursor is "<part>-<next>-<narrow>".
func parseJobCursor(s string) (job.Cursor, error) {
	parts := strings.Split(s, "-")
	if len(parts) == 3 {
		part, err1 := strconv.ParseUint(parts[0], 10, 16)
		next, err2 := strconv.ParseUint(parts[1], 10, 63)
		c := job.Cursor{Part: int(part), Next: next, Narrow: parts[2] == "1"}
		if err1 == nil && err2 == nil && c != (job.Cursor{}) && (parts[2] == "0" || parts[2] == "1") {
			return c, nil
		}
	}
	return job.Cursor{}, badCursor(s)
}

func badCursor(s string) error {
	return fmt.Errorf("%w: cursor is %s; what an answer had as its cursor is accepted", job.ErrFilter, job.Quote(s))
}

// appendJobCursor appends the cursor of an answer, if there is one.
func appendJobCursor(dst []byte, c job.Cursor) []byte {
	if c == (job.Cursor{}) {
		return dst
	}
	dst = strconv.AppendInt(append(dst, `,"cursor":"`...), int64(c.Part), 10)
	dst = strconv.AppendUint(append(dst, '-'), c.Next, 10)
	if c.Narrow {
		return append(dst, `-1"`...)
	}
	return append(dst, `-0"`...)
}

// AppendPage appends the answer to a list of jobs: under jobs what
// [AppendRecord] appends of each but its meta, then the cursor to go on with,
// unless this was the end.
func AppendPage(dst []byte, page job.Page) []byte {
	dst = append(dst, `{"jobs":[`...)
	for i, r := range page.Jobs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(append(dst, `{"id":`...), r.Key.ID)
		dst = strconv.AppendInt(append(dst, `,"trigger_time":`...), r.Trigger, 10)
		dst = AppendString(append(dst, `,"route":`...), r.Route)
		dst = append(appendState(dst, r), '}')
	}
	return append(appendJobCursor(append(dst, ']'), page.Cursor), '}')
}

// AppendCancelRun appends the answer to cancelling: how many jobs were
// cancelled, or would_cancel if they were only to be counted; how many were
// skipped, since they had begun to fire; then the cursor to go on with, unless
// this was the end.
func AppendCancelRun(dst []byte, run job.CancelRun, dry bool) []byte {
	verb := `{"cancelled":`
	if dry {
		verb = `{"would_cancel":`
	}
	dst = strconv.AppendInt(append(dst, verb...), int64(run.Cancelled), 10)
	dst = strconv.AppendInt(append(dst, `,"skipped":`...), int64(run.Skipped), 10)
	return append(appendJobCursor(dst, run.Cursor), '}')
}

// The parameters of the lists of routes, dbs and collections.
var pageParameters = []string{"limit", "cursor"}

// ParseRouteQuery reads the query string of a list of routes, with the errors of
// [ParseQuery].
func ParseRouteQuery(raw, db string) (job.RouteQuery, error) {
	q := job.RouteQuery{DB: db}
	return q, eachParameter(raw, func(name, value string) error { return setRouteFilter(&q, name, value) })
}

// ParseRouteFind reads the body of a list of routes: what [ParseRouteQuery] reads
// of a query string, none of which is needed, nor is the object.
func ParseRouteFind(body []byte, db string) (job.RouteQuery, error) {
	q := job.RouteQuery{DB: db}
	if len(bytes.TrimSpace(body)) == 0 {
		return q, nil
	}
	return q, readObject(body, parameterFields(pageParameters, func(name, value string) error {
		return setRouteFilter(&q, name, value)
	})...)
}

func setRouteFilter(q *job.RouteQuery, name, value string) (err error) {
	switch name {
	case "limit":
		q.Limit, err = parseLimit(value, job.MaxJobs)
	case "cursor":
		if q.After = value; job.CheckID("cursor", value) != nil {
			err = badCursor(value)
		}
	default:
		err = unknownFilter(name, pageParameters)
	}
	return err
}

// ParsePlaceQuery reads the query string of a list of dbs, or of the
// collections of one, with the errors of [ParseQuery].
func ParsePlaceQuery(raw, db string) (job.PlaceQuery, error) {
	q := job.PlaceQuery{DB: db}
	return q, eachParameter(raw, func(name, value string) (err error) {
		switch name {
		case "limit":
			q.Limit, err = parseLimit(value, job.MaxJobs)
		case "cursor":
			q.Cursor, err = parseJobCursor(value)
		default:
			err = unknownFilter(name, pageParameters)
		}
		return err
	})
}

// AppendRoutes appends the answer to a list of routes: under routes what
// [AppendRouteAnswer] appends of each, then the cursor to go on with, unless
// this was the end.
func AppendRoutes(dst []byte, page job.RoutePage) []byte {
	dst = append(dst, `{"routes":[`...)
	for i, r := range page.Routes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendRouteAnswer(dst, r)
	}
	dst = append(dst, ']')
	if page.More {
		dst = AppendString(append(dst, `,"cursor":`...), page.Routes[len(page.Routes)-1].ID)
	}
	return append(dst, '}')
}

// AppendDBs appends the answer to a list of dbs: under dbs the db of each, and
// how many jobs and routes it has, then the cursor to go on with, unless this
// was the end.
func AppendDBs(dst []byte, page job.Places) []byte {
	dst = append(dst, `{"dbs":[`...)
	for i, p := range page.Places {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(append(dst, `{"db":`...), p.Name)
		dst = strconv.AppendUint(append(dst, `,"jobs":`...), p.Jobs, 10)
		dst = append(strconv.AppendInt(append(dst, `,"routes":`...), int64(p.Routes), 10), '}')
	}
	return append(appendJobCursor(append(dst, ']'), page.Cursor), '}')
}

// AppendCollections appends the answer to a list of collections, each with its
// jobs, like [AppendDBs].
func AppendCollections(dst []byte, page job.Places) []byte {
	dst = append(dst, `{"collections":[`...)
	for i, p := range page.Places {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(append(dst, `{"collection":`...), p.Name)
		dst = append(strconv.AppendUint(append(dst, `,"jobs":`...), p.Jobs, 10), '}')
	}
	return append(appendJobCursor(append(dst, ']'), page.Cursor), '}')
}
