package contract

import (
	"fmt"
	"strconv"
	"strings"

	"belfry/internal/job"
)

// jobFilters are the filters of jobs, both in a query string and in a body.
var jobFilters = []string{"status", "route", "due_after", "due_before", "prefix", "limit", "cursor"}

// ParseQuery reads the query string of a list of jobs. An empty collection means the
// whole db. The errors wrap [job.ErrFilter] and [job.ErrID].
func ParseQuery(raw, db, collection string) (job.Query, error) {
	q := job.Query{DB: db, Collection: collection}
	err := eachParameter(raw, func(name, value string) error { return setJobFilter(&q, name, value, job.MaxJobs) })
	if err != nil {
		return q, err
	}
	return q, q.Check()
}

// ParseCancel reads the body that selects the jobs to cancel. It has the filters of
// [ParseQuery], or "all": true instead; with neither the error is [job.ErrNoFilter].
// dry says that the jobs should only be counted.
func ParseCancel(body []byte, db, collection string) (q job.Query, dry bool, err error) {
	q = job.Query{DB: db, Collection: collection}
	all := false
	fields := append([]field{boolField("all", &all), boolField("dry_run", &dry)}, jobFilterFields(&q, job.MaxCancels)...)
	if err := readObject(body, fields...); err != nil {
		return q, dry, err
	}
	if err := filterOrAll(q.Filtered(), all, "status, route, due_after, due_before, prefix"); err != nil {
		return q, dry, err
	}
	return q, dry, q.Check()
}

// ParseFind reads the body that selects the jobs to list. An empty collection means
// the whole db. It has the filters of [ParseQuery]. Neither a filter nor the object
// itself is required.
func ParseFind(body []byte, db, collection string) (job.Query, error) {
	q := job.Query{DB: db, Collection: collection}
	if blank(body) {
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

// setJobFilter sets one field of the query. It refuses empty values, since they would
// select everything.
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

// parseJobCursor reads a cursor in the form "<part>-<next>-<narrow>".
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

// AppendPage appends the answer to a list of jobs. The field jobs lists each job as
// [AppendRecord] writes it, but without its meta. The cursor to continue with
// follows, unless this was the end.
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

// AppendCancelRun appends the answer to a cancel request: how many jobs were
// cancelled, or would_cancel if they were only counted; how many were skipped, since
// they had begun to fire; then the cursor to continue with, unless this was the end.
func AppendCancelRun(dst []byte, run job.CancelRun, dry bool) []byte {
	verb := `{"cancelled":`
	if dry {
		verb = `{"would_cancel":`
	}
	dst = strconv.AppendInt(append(dst, verb...), int64(run.Cancelled), 10)
	dst = strconv.AppendInt(append(dst, `,"skipped":`...), int64(run.Skipped), 10)
	return append(appendJobCursor(dst, run.Cursor), '}')
}
