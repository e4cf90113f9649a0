package contract

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/job"
)

// pageParameters are the parameters of the lists of routes, dbs and collections.
var pageParameters = []string{"limit", "cursor"}

// eachParameter hands each parameter of a query string to set. A parameter may be
// given only once.
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

// parameterFields reads the parameters of a query string as fields of a body, where
// numbers are numbers and everything else is a string.
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

// filterOrAll refuses a body that selects nothing, and one with both "all" and a
// filter, so that nobody does to everything what was meant for some.
func filterOrAll(filtered, all bool, filters string) error {
	switch {
	case !filtered && !all:
		return fmt.Errorf(`%w: one or more of %s are accepted, or "all": true`, job.ErrNoFilter, filters)
	case filtered && all:
		return fmt.Errorf(`%w: "all": true stands beside a filter; either is accepted`, job.ErrFilter)
	}
	return nil
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

func badCursor(s string) error {
	return fmt.Errorf("%w: cursor is %s; what an answer had as its cursor is accepted", job.ErrFilter, job.Quote(s))
}
