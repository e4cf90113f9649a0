package job

import (
	"errors"
	"fmt"
)

// These errors say what is wrong with a request. Each is wrapped with the field, the
// value and the accepted values.
var (
	// ErrEmptyBody means that the request has no body.
	ErrEmptyBody = errors.New("the body is empty")
	// ErrSyntax means that the body is not JSON, or is more than one JSON value.
	ErrSyntax = errors.New("the body is not one JSON value")
	// ErrDuplicateField means that a field appears twice in the object.
	ErrDuplicateField = errors.New("a field is given twice")
	// ErrUnknownField means that the resource has no such field.
	ErrUnknownField = errors.New("unknown field")
	// ErrMissingField means that a required field is absent.
	ErrMissingField = errors.New("a field is missing")
	// ErrFieldType means that a field has the wrong JSON type.
	ErrFieldType = errors.New("a field has the wrong type")
	// ErrID means that an id is empty, too long, or not UTF-8.
	ErrID = errors.New("bad id")
	// ErrIDMismatch means that the id in the object differs from the id that
	// addresses it: the one in the request's path, or the key in the store.
	ErrIDMismatch = errors.New("the ids differ")
	// ErrTriggerTime means that the time is not an accepted unix millisecond.
	ErrTriggerTime = errors.New("bad trigger_time")
	// ErrRouteType means that the type is neither REST nor NATS.
	ErrRouteType = errors.New("bad route type")
	// ErrWebhookURL means that the URL cannot be called.
	ErrWebhookURL = errors.New("bad webhook_url")
	// ErrPolicy means that a field about the delivery has a value that is not
	// accepted, or belongs to routes of the other type.
	ErrPolicy = errors.New("bad route policy")
	// ErrTooLarge means that the body, or the meta in it, is over the limit.
	ErrTooLarge = errors.New("too large")
	// ErrFilter means that a parameter that selects jobs or dead letters, or pages
	// through a list, is not accepted.
	ErrFilter = errors.New("bad filter")
	// ErrNoFilter means that the request does not select the jobs or dead letters to
	// work on.
	ErrNoFilter = errors.New("no filter")
	// ErrToken means that a field of a requested token is not accepted.
	ErrToken = errors.New("bad token request")
	// ErrIfMatch means that the revision that a change applies to cannot be read.
	ErrIfMatch = errors.New("bad If-Match")
	// ErrBackup means that the data to restore is not a backup, or not a whole one.
	ErrBackup = errors.New("not a good backup")
)

// These errors say why a well-formed request cannot be carried out.
var (
	// ErrJobNotFound means that there is no such job, or that its final state is no
	// longer kept.
	ErrJobNotFound = errors.New("job not found")
	// ErrJobExists means that a live job with other content has the id.
	ErrJobExists = errors.New("a job with this id and other content is pending")
	// ErrFiring means that the request is too late: a try has begun.
	ErrFiring = errors.New("too late: the job has begun to fire")
	// ErrFinished means that the request is too late: the job is over.
	ErrFinished = errors.New("too late: the job is finished")
	// ErrNotAJob means that the record stored under the key was not written by Belfry
	// and is not a job.
	ErrNotAJob = errors.New("the stored record is not a job")
	// ErrRouteNotFound means that there is no such route.
	ErrRouteNotFound = errors.New("route not found")
	// ErrNotARoute means that the record stored under the key was not written by
	// Belfry and is not a route.
	ErrNotARoute = errors.New("the stored record is not a route")
	// ErrRouteExists means that a route with other content has the id.
	ErrRouteExists = errors.New("a route with this id and other content exists")
	// ErrRouteTypeFixed means that the request would change the type of a route,
	// which cannot be changed.
	ErrRouteTypeFixed = errors.New("the type of a route cannot be changed")
	// ErrRouteClearing means that a deleted route with the same id and another type
	// has left things that are not cleared yet.
	ErrRouteClearing = errors.New("the id is not free yet")
	// ErrCaseOnly means that the name of a route differs from another's in case only,
	// and the disk does not distinguish the two.
	ErrCaseOnly = errors.New("the disk of the NATS server does not tell upper from lower case")
	// ErrRevision means that the job or route is at another revision than the one the
	// change was made for.
	ErrRevision = errors.New("it has changed since")
	// ErrLetterNotFound means that the dead letter does not exist, or no longer
	// exists.
	ErrLetterNotFound = errors.New("dead letter not found")
	// ErrTokenNotFound means that the token does not exist, or no longer exists.
	ErrTokenNotFound = errors.New("token not found")
	// ErrNotEmpty means that the server to restore a backup to already holds
	// something.
	ErrNotEmpty = errors.New("the server is not empty")
)

// These errors say what is wrong with Belfry itself.
var (
	// ErrUnavailable means that the store does not answer. Nothing was changed.
	ErrUnavailable = errors.New("the store is unavailable")
	// ErrLimit means that a limit of the NATS server refuses the write, until
	// somebody raises the limit. Nothing was changed.
	ErrLimit = errors.New("a limit of the NATS server stands against it, so a repeat does not help")
	// ErrUnknownOutcome means that the store did not say whether it applied the
	// write. Every request is safe to repeat, except those that generate a token or a
	// secret: each repeat generates another one.
	ErrUnknownOutcome = errors.New("outcome unknown, safe to repeat except where something is made up")
	// ErrMoved means that the record changed under the writer. It is a normal result
	// of a race, and the caller should read the record again.
	ErrMoved = errors.New("the record has changed")
)

// OtherRevision returns the error for a change that was made for revision expect of a
// job or route that is at another revision. It wraps [ErrRevision].
func OtherRevision(is, expect uint64) error {
	return fmt.Errorf("%w: its ETag is \"%d\", not \"%d\"", ErrRevision, is, expect)
}
