package api

import (
	"fmt"
	"strconv"
	"strings"

	"belfry/internal/job"
)

// ETag writes the revision of a job or route as its ETag.
func ETag(revision uint64) string { return `"` + strconv.FormatUint(revision, 10) + `"` }

// ifMatch returns the revision that a change is for, by the values of its header
// If-Match; 0 is any. The error is a [job.ErrIfMatch].
func ifMatch(given []string) (uint64, error) {
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
