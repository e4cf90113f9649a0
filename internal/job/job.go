// Package job holds what Belfry is about: jobs, routes, and the rules of their
// life. It is pure: it knows neither HTTP nor NATS, takes the time as a
// parameter, and imports the standard library only.
package job

import (
	"bytes"
	"strings"
)

// Key names a job: a database, a collection in it, and the job's own id. Each
// part is any UTF-8 text of 1 to [MaxIDBytes] bytes.
type Key struct {
	DB         string
	Collection string
	ID         string
}

// KeySize is roughly the memory that the key takes in bytes, both as it is and in an
// answer.
func (k Key) KeySize() int { return 2 * (len(k.DB) + len(k.Collection) + len(k.ID)) }

// Job is what a client asks for: at Trigger, hand Meta to Route.
type Job struct {
	Key

	// Trigger is the moment to fire, in unix milliseconds.
	Trigger int64

	// Meta is the JSON handed to the recipient, byte for byte.
	Meta []byte

	// Route is the id of the recipient, a [Route] of the same database.
	Route string

	// Trace is the traceparent of the request that asked for the job, if the request
	// had a valid one; see [ParseTrace]. It is not part of the content.
	Trace string
}

// RouteKey names the route the job fires to.
func (j Job) RouteKey() RouteKey { return RouteKey{DB: j.DB, ID: j.Route} }

// SameContent reports whether two jobs ask for the same thing, so that creating one
// after the other changes nothing. Every field counts except Trace, and so does each
// byte of Meta.
func (j Job) SameContent(other Job) bool {
	j.Trace, other.Trace = "", ""
	return same(j, other)
}

// Difference names the fields in which two jobs with the same key differ. It is for
// humans.
func (j Job) Difference(other Job) string {
	var all []string
	if j.Trigger != other.Trigger {
		all = append(all, "trigger_time")
	}
	if j.Route != other.Route {
		all = append(all, "route")
	}
	if !bytes.Equal(j.Meta, other.Meta) {
		all = append(all, "meta (each of its bytes counts, white space and the order of fields, too)")
	}
	return strings.Join(all, ", ")
}
