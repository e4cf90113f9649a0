package api

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"belfry/internal/job"
)

// ETag formats the revision of a job or route as its ETag.
func ETag(revision uint64) string { return `"` + strconv.FormatUint(revision, 10) + `"` }

// maxTags bounds how many tags one request names: each costs one comparison in the
// store.
const maxTags = 16

// ifMatch makes a change for the revisions named in the request's If-Match, one after
// the other, until one matches the stored one. 0 is any.
func (r Request) ifMatch(change func(expect uint64) error) error {
	if len(r.IfNoneMatch) > 0 {
		return fmt.Errorf("%w: If-None-Match is given, which a change cannot have; If-Match is accepted", job.ErrIfMatch)
	}
	tags, err := matches(r.IfMatch)
	if err != nil {
		return err
	}
	for _, expect := range tags {
		if err = change(expect); !errors.Is(err, job.ErrRevision) {
			return err
		}
	}
	return err
}

// matches returns the revisions that a change is for, by the values of its header
// If-Match; 0 is any. The error is a [job.ErrIfMatch].
//
// A proxy that compresses answers weakens their ETags, as in W/"4711", or adds its
// coding, as in "4711-gzip". The number is compared, which says which
// revision was seen whatever became of its bytes on the way.
func matches(given []string) ([]uint64, error) {
	list := strings.Trim(strings.Join(given, ","), " \t,")
	if len(given) == 0 || list == "*" {
		return []uint64{0}, nil
	}
	var all []uint64
	for rest := list; rest != ""; rest = strings.TrimLeft(rest, " \t,") {
		if tail, star := strings.CutPrefix(rest, "*"); star && strings.Trim(tail, " \t*,") == "" {
			return []uint64{0}, nil
		}
		revision, tail, ok := cutTag(rest)
		if rest = strings.TrimLeft(tail, " \t"); !ok || rest != "" && rest[0] != ',' {
			return nil, badTag(list, "one that a GET has is accepted")
		}
		if !slices.Contains(all, revision) {
			all = append(all, revision)
		}
		if len(all) > maxTags {
			return nil, badTag(list, fmt.Sprintf("up to %d are accepted", maxTags))
		}
	}
	if len(all) == 0 {
		return nil, badTag(list, "it is empty")
	}
	return all, nil
}

// cutTag reads the ETag at the start of a text.
func cutTag(text string) (revision uint64, rest string, ok bool) {
	text = strings.TrimPrefix(text, "W/")
	text, quoted := strings.CutPrefix(text, `"`)
	inner, rest, closed := strings.Cut(text, `"`)
	digits := inner
	if i := strings.IndexAny(inner, "-;"); i > 0 {
		digits = inner[:i]
	}
	revision, err := strconv.ParseUint(digits, 10, 63)
	return revision, rest, quoted && closed && err == nil && revision > 0
}

func badTag(given, accepted string) error {
	return fmt.Errorf(`%w: it is %s; %s, as in "4711" with its quotes, several with commas between them, and *`, job.ErrIfMatch, job.Quote(given), accepted)
}
