package contract

import (
	"strconv"

	"belfry/internal/job"
)

// ParsePlaceQuery reads the query string of a list of dbs, or of the collections of
// one db. Its errors are those of [ParseQuery].
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

// AppendDBs appends the answer to a list of dbs. The field dbs lists each db with its
// numbers of jobs and routes. The cursor to continue with follows, unless this was
// the end.
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

// AppendCollections appends the answer to a list of collections, each with its number
// of jobs, like [AppendDBs].
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
