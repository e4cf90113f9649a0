package contract

import (
	"fmt"
	"strconv"
	"strings"

	"belfry/internal/job"
)

// letterFilters are the filters of dead letters, both in a query string and in a
// body.
var letterFilters = []string{"route", "reason", "after", "before", "limit", "cursor"}

// ParseLetterQuery reads the query string of a list of dead letters. The
// errors wrap [job.ErrFilter] and [job.ErrID].
func ParseLetterQuery(raw, db string) (job.LetterQuery, error) {
	q := job.LetterQuery{DB: db}
	if err := eachParameter(raw, func(name, value string) error { return setLetterFilter(&q, name, value) }); err != nil {
		return q, err
	}
	return q, q.Check()
}

// ParseLetterRun reads the body that selects the dead letters to redrive or discard.
// It has the filters of [ParseLetterQuery], or "all": true instead; with neither the
// error is [job.ErrNoFilter].
func ParseLetterRun(body []byte, db string) (job.LetterQuery, error) {
	q, all := job.LetterQuery{DB: db}, false
	filters := parameterFields(letterFilters, func(name, value string) error { return setLetterFilter(&q, name, value) })
	if err := readObject(body, append([]field{boolField("all", &all)}, filters...)...); err != nil {
		return q, err
	}
	if err := filterOrAll(q.Filtered(), all, "route, reason, after, before"); err != nil {
		return q, err
	}
	return q, q.Check()
}

// setLetterFilter sets one field of the query. It refuses empty values, since they
// would select everything.
func setLetterFilter(q *job.LetterQuery, name, value string) error {
	var err error
	switch name {
	case "route":
		q.Route, err = value, job.CheckID("route", value)
	case "reason":
		if q.Reason = job.Reason(value); value == "" {
			err = fmt.Errorf("%w: reason is empty; accepted are %v", job.ErrFilter, job.Reasons())
		}
	case "after":
		q.After, err = parseNumber(name, value, 0)
	case "before":
		q.Before, err = parseNumber(name, value, 1)
	case "limit":
		q.Limit, err = parseLimit(value, job.MaxLetters)
	case "cursor":
		q.Cursor, err = parseLetterCursor(value)
	default:
		err = unknownFilter(name, letterFilters)
	}
	return err
}

func parseLetterCursor(s string) (c job.LetterCursor, err error) {
	next, last, ok := strings.Cut(s, "-")
	if ok {
		if c.Next, err = strconv.ParseUint(next, 10, 63); err == nil {
			c.Last, err = strconv.ParseUint(last, 10, 63)
		}
	}
	if !ok || err != nil || c.Next == 0 || c.Last == 0 {
		return job.LetterCursor{}, badCursor(s)
	}
	return c, nil
}

// appendLetterCursor appends the cursor of an answer, if there is one.
func appendLetterCursor(dst []byte, c job.LetterCursor) []byte {
	if c.Next == 0 {
		return dst
	}
	dst = strconv.AppendUint(append(dst, `,"cursor":"`...), c.Next, 10)
	dst = strconv.AppendUint(append(dst, '-'), c.Last, 10)
	return append(dst, '"')
}

// AppendLetters appends the answer to a list of dead letters. The field dead lists
// each letter as [AppendLetter] writes it, but without its meta. The cursor to
// continue with follows, unless this was the end.
func AppendLetters(dst []byte, page job.Letters) []byte {
	dst = append(dst, `{"dead":[`...)
	for i, l := range page.Letters {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendLetterFields(dst, l), '}')
	}
	return append(appendLetterCursor(append(dst, ']'), page.Cursor), '}')
}

// AppendLetter appends one dead letter: the sequence that addresses it; the db,
// collection and id of its job; its route; the reason and detail of its death;
// trigger_time and died_at, in unix milliseconds; the attempts made; and the meta.
func AppendLetter(dst []byte, l job.Letter) []byte {
	dst = appendLetterFields(dst, l)
	return append(append(append(dst, `,"meta":`...), l.Meta...), '}')
}

// appendLetterFields leaves the object open.
func appendLetterFields(dst []byte, l job.Letter) []byte {
	dst = strconv.AppendUint(append(dst, `{"sequence":`...), l.Number, 10)
	dst = appendKey(dst, l.Key)
	dst = AppendString(append(dst, `,"route":`...), l.Route)
	dst = AppendString(append(dst, `,"reason":`...), string(l.Reason))
	dst = AppendString(append(dst, `,"detail":`...), l.Detail)
	dst = strconv.AppendInt(append(dst, `,"trigger_time":`...), l.Trigger, 10)
	dst = strconv.AppendInt(append(dst, `,"died_at":`...), l.Died.UnixMilli(), 10)
	return strconv.AppendInt(append(dst, `,"attempts":`...), int64(l.Attempt), 10)
}

func appendKey(dst []byte, k job.Key) []byte {
	dst = AppendString(append(dst, `,"db":`...), k.DB)
	dst = AppendString(append(dst, `,"collection":`...), k.Collection)
	return AppendString(append(dst, `,"id":`...), k.ID)
}

// AppendLetterRun appends the answer to a redrive or a discard: how many letters were
// done, under the verb done; how many were skipped; which ones and why, under skips;
// then the cursor to continue with, unless this was the end.
func AppendLetterRun(dst []byte, done string, run job.LetterRun) []byte {
	dst = append(append(append(dst, `{"`...), done...), `":`...)
	dst = strconv.AppendInt(dst, int64(run.Done), 10)
	dst = strconv.AppendInt(append(dst, `,"skipped":`...), int64(len(run.Skipped)), 10)
	if len(run.Skipped) > 0 {
		dst = append(dst, `,"skips":[`...)
		for i, s := range run.Skipped {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendUint(append(dst, `{"sequence":`...), s.Number, 10)
			dst = appendKey(dst, s.Key)
			dst = append(AppendString(append(dst, `,"why":`...), string(s.Why)), '}')
		}
		dst = append(dst, ']')
	}
	return append(appendLetterCursor(dst, run.Cursor), '}')
}
