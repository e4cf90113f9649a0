package job

import (
	"errors"
	"fmt"
)

// What can be wrong with a request, each wrapped with the field, the value and
// what is accepted.
var (
	// ErrEmptyBody: the request has no body.
	ErrEmptyBody = errors.New("the body is empty")
	// ErrSyntax: the body is not JSON, or more than one JSON value.
	ErrSyntax = errors.New("the body is not one JSON value")
	// ErrDuplicateField: a field stands twice in the object.
	ErrDuplicateField = errors.New("a field is given twice")
	// ErrUnknownField: a field that the resource does not have.
	ErrUnknownField = errors.New("unknown field")
	// ErrMissingField: a field that is needed is absent.
	ErrMissingField = errors.New("a field is missing")
	// ErrFieldType: a field has the wrong JSON type.
	ErrFieldType = errors.New("a field has the wrong type")
	// ErrID: an id is empty, too long, or not UTF-8.
	ErrID = errors.New("bad id")
	// ErrIDMismatch: the id in the object is not the one it is addressed by,
	// in the path of a request or as a key in the store.
	ErrIDMismatch = errors.New("the ids differ")
	// ErrTriggerTime: the time is not an accepted unix millisecond.
	ErrTriggerTime = errors.New("bad trigger_time")
	// ErrRouteType: the type is none of REST and NATS.
	ErrRouteType = errors.New("bad route type")
	// ErrWebhookURL: the URL cannot be called.
	ErrWebhookURL = errors.New("bad webhook_url")
	// ErrPolicy: a field about the delivery has a value that is not accepted, or
	// is for routes of the other type.
	ErrPolicy = errors.New("bad route policy")
	// ErrTooLarge: the body or the meta in it is over the limit.
	ErrTooLarge = errors.New("too large")
	// ErrFilter: what is to select jobs or dead letters, or to page through a
	// list, is not accepted.
	ErrFilter = errors.New("bad filter")
	// ErrNoFilter: nothing selects the jobs or dead letters to work on.
	ErrNoFilter = errors.New("no filter")
	// ErrToken: a field of a token that is asked for is not accepted.
	ErrToken = errors.New("bad token request")
	// ErrIfMatch: the revision that a change is for cannot be read.
	ErrIfMatch = errors.New("bad If-Match")
	// ErrBackup: what is to be restored is no backup, or not a whole one.
	ErrBackup = errors.New("not a good backup")
)

// What can stand against a request that is well formed.
var (
	// ErrJobNotFound: there is no such job, or its final state is no longer
	// kept.
	ErrJobNotFound = errors.New("job not found")
	// ErrJobExists: the id is taken by a live job with other content.
	ErrJobExists = errors.New("a job with this id and other content is pending")
	// ErrFiring: too late, a try has begun.
	ErrFiring = errors.New("too late: the job has begun to fire")
	// ErrFinished: too late, the job is over.
	ErrFinished = errors.New("too late: the job is finished")
	// ErrNotAJob: what is stored under the key was not written by Belfry and
	// is not a job.
	ErrNotAJob = errors.New("the stored record is not a job")
	// ErrRouteNotFound: there is no such route.
	ErrRouteNotFound = errors.New("route not found")
	// ErrNotARoute: what is stored under the key was not written by Belfry and
	// is not a route.
	ErrNotARoute = errors.New("the stored record is not a route")
	// ErrRouteExists: the id is taken by a route with other content.
	ErrRouteExists = errors.New("a route with this id and other content exists")
	// ErrRouteTypeFixed: the type of a route cannot be changed.
	ErrRouteTypeFixed = errors.New("the type of a route cannot be changed")
	// ErrRouteClearing: what a deleted route of the same id and another type
	// has left is not cleared yet.
	ErrRouteClearing = errors.New("the id is not free yet")
	// ErrCaseOnly: the name of a route differs from another's in case only, and the
	// disk does not tell.
	ErrCaseOnly = errors.New("the disk of the NATS server does not tell upper from lower case")
	// ErrRevision: the job or route is at another revision than the change is
	// for.
	ErrRevision = errors.New("it has changed since")
	// ErrLetterNotFound: there is no such dead letter, or no longer.
	ErrLetterNotFound = errors.New("dead letter not found")
	// ErrTokenNotFound: there is no such token, or no longer.
	ErrTokenNotFound = errors.New("token not found")
	// ErrNotEmpty: there is something already where a backup is to be restored.
	ErrNotEmpty = errors.New("the server is not empty")
)

// What can be wrong with Belfry itself.
var (
	// ErrUnavailable: the store does not answer; nothing was changed.
	ErrUnavailable = errors.New("the store is unavailable")
	// ErrLimit: a limit of the NATS server stands against it, for ever unless
	// somebody raises it; nothing was changed.
	ErrLimit = errors.New("a limit of the NATS server stands against it, so a repeat does not help")
	// ErrUnknownOutcome: the store did not tell whether it applied the write.
	// Every request is safe to repeat, except those that make up a token or a
	// secret: each makes another one.
	ErrUnknownOutcome = errors.New("outcome unknown, safe to repeat except where something is made up")
	// ErrMoved: the record changed under the writer; a normal result of a
	// race, for the caller to look again.
	ErrMoved = errors.New("the record has changed")
)

// OtherRevision is the error of a change that was for the revision expect of a job or
// route that is at another one. It wraps [ErrRevision].
func OtherRevision(is, expect uint64) error {
	return fmt.Errorf("%w: its ETag is \"%d\", not \"%d\"", ErrRevision, is, expect)
}
