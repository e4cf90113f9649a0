package contract

import (
	"belfry/internal/job"
)

// ParseRouteQuery reads the query string of a list of routes. Its errors are those of
// [ParseQuery].
func ParseRouteQuery(raw, db string) (job.RouteQuery, error) {
	q := job.RouteQuery{DB: db}
	return q, eachParameter(raw, func(name, value string) error { return setRouteFilter(&q, name, value) })
}

// ParseRouteFind reads the body of a list of routes. It has the parameters of
// [ParseRouteQuery]. Neither a parameter nor the object itself is required.
func ParseRouteFind(body []byte, db string) (job.RouteQuery, error) {
	q := job.RouteQuery{DB: db}
	if blank(body) {
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

// AppendRoutes appends the answer to a list of routes. The field routes lists each
// route as [AppendRouteAnswer] writes it. The cursor to continue with follows, unless
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
