package contract

import (
	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/job"
)

// ParsePause reads the body of a request to pause a route: an object with
// paused_until, the end of the pause in unix milliseconds. Both the field and the
// object may be left out: then the pause lasts until somebody ends it, and until is
// 0. The id is treated as in [ParseJob]; if the path has none, the object is
// required.
func ParsePause(body []byte, path string) (id string, until int64, err error) {
	id = path
	if id != "" && blank(body) {
		return id, 0, nil
	}
	const name = "paused_until"
	err = readObject(body, idField(&id), field{name, false, func(value jsontext.Value) (err error) {
		until, err = readInt(name, value)
		if err == nil && (until < job.MinTrigger || until > job.MaxTrigger) {
			err = job.BadPolicy(name, string(value))
		}
		return err
	}})
	return id, until, err
}
