package job

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// MaxIDBytes is the longest id, database or collection name, in bytes.
const MaxIDBytes = 200

// MaxMetaDepth is the deepest nesting accepted in a meta. Readers stop at 10,000
// levels, and each wraps the meta in objects of its own. Half of that leaves room for
// all of them.
const MaxMetaDepth = 5000

// MaxRouteBytes is the size of the longest route, as a GET shows it, so that a GET's
// answer can be changed and PUT.
const MaxRouteBytes = 16 << 10

// These are the bounds of accepted trigger times, in unix milliseconds. Smaller
// values are almost certainly seconds, and larger ones micro- or nanoseconds.
const (
	MinTrigger int64 = 100_000_000_000     // 1973-03-03
	MaxTrigger int64 = 253_402_300_799_999 // the last millisecond of year 9999
)

// CheckID accepts any UTF-8 text of 1 to [MaxIDBytes] bytes. field names the id in
// the error, which is an [ErrID].
func CheckID(field, id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: %s is empty; 1 to %d bytes of UTF-8 are accepted", ErrID, field, MaxIDBytes)
	case len(id) > MaxIDBytes:
		return fmt.Errorf("%w: %s has %d bytes; 1 to %d bytes of UTF-8 are accepted", ErrID, field, len(id), MaxIDBytes)
	case !utf8.ValidString(id):
		return fmt.Errorf("%w: %s is not valid UTF-8; 1 to %d bytes of UTF-8 are accepted", ErrID, field, MaxIDBytes)
	}
	return nil
}

// CheckNewID is [CheckID] for the id of something new. It also refuses ids that
// clients and proxies take for a path step and leave out, because no request could
// reach them. Things that older versions created with such ids stay.
func CheckNewID(field, id string) error {
	if err := CheckID(field, id); err != nil {
		return err
	}
	if id == "." || id == ".." {
		return fmt.Errorf("%w: %s is %q, which clients and proxies take for a step in the path; any other id is accepted", ErrID, field, id)
	}
	return nil
}

// CheckNew is [Key.Check] for the key of a new job; see [CheckNewID].
func (k Key) CheckNew() error {
	for _, part := range []struct{ field, id string }{{"db", k.DB}, {"collection", k.Collection}, {"id", k.ID}} {
		if err := CheckNewID(part.field, part.id); err != nil {
			return err
		}
	}
	return nil
}

// CheckNew is [RouteKey.Check] for the key of a new route.
func (k RouteKey) CheckNew() error { return Key{DB: k.DB, Collection: k.DB, ID: k.ID}.CheckNew() }

// Check validates every part of the key.
func (k Key) Check() error {
	if err := CheckID("db", k.DB); err != nil {
		return err
	}
	if err := CheckID("collection", k.Collection); err != nil {
		return err
	}
	return CheckID("id", k.ID)
}

// Check validates every part of the key.
func (k RouteKey) Check() error {
	if err := CheckID("db", k.DB); err != nil {
		return err
	}
	return CheckID("id", k.ID)
}

// CheckTrigger accepts unix milliseconds between [MinTrigger] and
// [MaxTrigger], past ones included. The error is an [ErrTriggerTime].
func CheckTrigger(ms int64) error {
	if amiss := amissAsTime(ms); amiss != "" {
		return fmt.Errorf("%w: %s", ErrTriggerTime, amiss)
	}
	return nil
}

// checkTimeFilter accepts the times that [CheckTrigger] accepts, and 0 for no filter.
// It refuses times in seconds, since all jobs are due after them. The error is an
// [ErrFilter].
func checkTimeFilter(field string, ms int64) error {
	if amiss := amissAsTime(ms); amiss != "" && ms != 0 {
		return fmt.Errorf("%w: %s: %s", ErrFilter, field, amiss)
	}
	return nil
}

func amissAsTime(ms int64) string {
	const accepted = "unix milliseconds are accepted, as in 1667659342626"
	switch {
	case ms < 0:
		return fmt.Sprintf("%d is negative; %s", ms, accepted)
	case ms < MinTrigger:
		return fmt.Sprintf("%d looks like seconds; %s", ms, accepted)
	case ms > MaxTrigger:
		return fmt.Sprintf("%d is after the year 9999 and looks like micro- or nanoseconds; %s", ms, accepted)
	}
	return ""
}

// Quote quotes a client's text for an error, cut off after 64 bytes.
func Quote(s string) string {
	const longest = 64
	if len(s) <= longest {
		return strconv.Quote(s)
	}
	cut := longest
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}
