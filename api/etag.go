package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"belfry/internal/job"
)

// serveTagged is [api.serve] for an endpoint that shows a job or a route, whose
// revision is the ETag of the answer.
func (a *api) serveTagged(e func(context.Context, *http.Request) (body []byte, revision uint64, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.serve(func(ctx context.Context, r *http.Request, _ []byte) ([]byte, error) {
			body, revision, err := e(ctx, r)
			if err == nil {
				w.Header().Set("ETag", `"`+strconv.FormatUint(revision, 10)+`"`)
			}
			return body, err
		}, noBody)(w, r)
	}
}

// ifMatch returns the revision that a change is for; 0 is any. The error is a
// [job.ErrIfMatch].
func ifMatch(r *http.Request) (uint64, error) {
	given := r.Header.Values("If-Match")
	tag := strings.Trim(strings.Join(given, ","), " \t")
	if len(given) == 0 || tag == "*" {
		return 0, nil
	}
	inner, quoted := strings.CutPrefix(tag, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	revision, err := strconv.ParseUint(inner, 10, 63)
	if !quoted || !closed || err != nil || revision == 0 {
		return 0, fmt.Errorf(`%w: it is %s; one ETag as a GET has it is accepted, as in "4711" with its quotes, and *`, job.ErrIfMatch, job.Quote(tag))
	}
	return revision, nil
}
