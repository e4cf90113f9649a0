package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"belfry/internal/contract"
	"belfry/internal/job"
	"belfry/internal/room"
)

// ErrorRow is one reason for an answer other than 200.
type ErrorRow struct {
	Code    string // stable: never reused, never given another meaning
	Status  int    // the HTTP status
	Err     error  // an error that wraps it is answered by this row
	Meaning string // one sentence for the README
}

var (
	errNoPath   = errors.New("no such path")
	errMethod   = errors.New("method not allowed")
	errInternal = errors.New("internal error")
	errNotReady = errors.New("not ready")
)

// errorTable lists E0xx for faults in a request, E1xx for conflicts of a valid request
// with the state, E2xx for requests that no endpoint takes, E3xx for Belfry's own
// trouble, and E4xx for permissions and rates.
var errorTable = []ErrorRow{
	{"E001", 400, job.ErrEmptyBody, "The request has no body."},
	{"E002", 400, job.ErrSyntax, "The body is not JSON, not UTF-8, compressed, cut short or late, or more than one JSON value; or `meta` is nested more than 5,000 deep."},
	{"E003", 400, job.ErrDuplicateField, "A field is given twice."},
	{"E004", 400, job.ErrUnknownField, "The body has a field that is not accepted."},
	{"E005", 400, job.ErrMissingField, "A needed field is absent."},
	{"E006", 400, job.ErrFieldType, "The body is not an object, or a field has the wrong JSON type."},
	{"E007", 400, job.ErrID, "An id, in the path or in the body, is empty, over 200 bytes, or not UTF-8; or something is to be made with the id `.` or `..`."},
	{"E008", 400, job.ErrIDMismatch, "The id in the body is not the one in the path."},
	{"E009", 400, job.ErrTriggerTime, "`trigger_time` is not a unix time in milliseconds up to the year 9999."},
	{"E010", 400, job.ErrRouteType, "`type` is neither `REST` nor `NATS`."},
	{"E011", 400, job.ErrWebhookURL, "`webhook_url` cannot be called, or is given for a route of type `NATS`."},
	{"E012", 413, job.ErrTooLarge, "The body or its `meta` is over the limit; or, over NATS, the answer over the server's `max_payload`."},
	{"E013", 400, job.ErrPolicy, "A field about a route's delivery has a value that is not accepted, or is for routes of the other type."},
	{"E014", 400, job.ErrBackup, "What is to be restored is no backup, or one that was cut off or altered, or of a version that this Belfry does not read."},
	{"E021", 400, job.ErrFilter, "What is to select jobs or dead letters, or to page through a list, in the query string or in the body, is unknown, given twice, or not accepted."},
	{"E022", 400, job.ErrNoFilter, "Cancelling by filter, redriving and discarding need a filter, or `\"all\": true`."},
	{"E023", 400, job.ErrIfMatch, "`If-Match` is neither `*` nor one or more `ETag`s as a GET has them; or `If-None-Match` is given with a change."},
	{"E031", 400, job.ErrToken, "A field of a token that is asked for has a value that is not accepted."},

	{"E101", 400, job.ErrJobNotFound, "There is no such job, or it finished and is no longer kept."},
	{"E102", 400, job.ErrJobExists, "The id is taken by a live job with other content, each byte of `meta` included. The error names the fields that differ."},
	{"E103", 400, job.ErrFiring, "Too late: the job has begun to fire."},
	{"E104", 400, job.ErrFinished, "Too late: the job is finished."},
	{"E105", 400, job.ErrNotAJob, "What is stored under the job's key was put there by hand and is not a job. DELETE removes it, POST and PUT replace it."},
	{"E106", 400, job.ErrRouteNotFound, "There is no such route."},
	{"E107", 400, job.ErrRouteExists, "The id is taken by a route with other content. The error names the fields that differ."},
	{"E108", 400, job.ErrRouteTypeFixed, "The `type` of a route cannot be changed."},
	{"E109", 400, job.ErrRouteClearing, "A deleted route of this id and another type is still being cleared; try again in a minute."},
	{"E110", 412, job.ErrRevision, "The job or route is at none of the `ETag`s in `If-Match` any more; nothing was done."},
	{"E111", 400, job.ErrNotARoute, "What is stored under the route's key was put there by hand and is not a route. Its jobs wait. DELETE removes it, POST and PUT replace it."},
	{"E112", 400, job.ErrCaseOnly, "The disk of the embedded NATS server does not tell upper from lower case, and the name of the route, or of its db, differs from another's in case only."},
	{"E121", 400, job.ErrLetterNotFound, "There is no such dead letter, or it was redriven or discarded."},
	{"E131", 400, job.ErrTokenNotFound, "There is no such token, or it was revoked."},
	{"E141", 409, job.ErrNotEmpty, "A backup is restored into an empty server only, or once more after its restore broke off; one at a time."},

	{"E201", 404, errNoPath, "There is no such path."},
	{"E202", 405, errMethod, "The path does not have this method; `Allow` lists those it has."},

	{"E301", 500, errInternal, "Something went wrong inside Belfry; its log says what."},
	{"E302", 503, job.ErrUnavailable, "The store does not answer; nothing was changed. Try again after `Retry-After` seconds."},
	{"E303", 503, job.ErrUnknownOutcome, "The store did not say whether it applied the write. It is safe to repeat, except `POST /token` and a rotation without a `secret`: each makes up a new one."},
	{"E304", 503, errNotReady, "Only of `/readyz`: Belfry cannot store and fire jobs now; the reason says why."},
	{"E305", 503, room.ErrFull, "Requests hold all the memory they may have together (`--max-request-memory`), or those of this db their share, or all connections (`--max-connections`) are busy; nothing was changed. Try again after `Retry-After` seconds, and read answers as they come."},
	{"E306", 409, job.ErrLimit, "A limit of the NATS server stands against it, as one of its consumers against another route; nothing was changed, and a repeat does not help. The error says which limit."},

	{"E401", 401, errNoToken, "The request has no valid token: `Authorization: Bearer <token>` is needed."},
	{"E402", 403, errAuthOff, "Tokens cannot be made while authentication is off: run Belfry with `--admin-token-file`."},
	{"E403", 403, errForbidden, "The token may not do this: its role, or its dbs, do not reach so far."},
	{"E411", 403, errCrossOrigin, "A browser sent the request for a web page of another origin, as `Sec-Fetch-Site` or `Origin` says. Only GET is accepted from there."},
	{"E412", 403, errHost, "While authentication is off, `Host` must be `localhost` or a loopback address: another name may be that of a web page which leads here (DNS rebinding)."},
	{"E429", 429, errTooFast, "Too many requests in a second with this token, or from this address; try again after `Retry-After` seconds."},
}

// ErrorTable returns every row, in the order of the codes.
func ErrorTable() []ErrorRow { return slices.Clone(errorTable) }

// ErrorMarkdown returns the table as the README prints it.
func ErrorMarkdown() string {
	var b strings.Builder
	b.WriteString("| code | status | meaning |\n|---|---|---|\n")
	for _, row := range errorTable {
		fmt.Fprintf(&b, "| `%s` | %d | %s |\n", row.Code, row.Status, row.Meaning)
	}
	return b.String()
}

// rowOf finds the row of an error that a request ended with. write says
// whether the request could have changed anything.
func rowOf(err error, write bool) ErrorRow {
	// The search runs from the end, since the fault of stored data counts for more
	// than what is wrong with it: the error of a stored record that is not a job may
	// wrap the reason.
	for _, row := range slices.Backward(errorTable) {
		if errors.Is(err, row.Err) {
			return row
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		if write {
			return rowOf(job.ErrUnknownOutcome, write)
		}
		return rowOf(job.ErrUnavailable, write)
	}
	return rowOf(errInternal, write)
}

// ReasonOf returns the answer to err, which ended a request; write says whether the
// request could have changed anything. The client sees its own mistakes in full. For
// Belfry's trouble the client sees only the kind, and the log has the cause.
func ReasonOf(err error, write bool) (ErrorRow, string) {
	row := rowOf(err, write)
	if row.Status >= 500 && row.Err != errNotReady {
		return row, row.Err.Error()
	}
	return row, err.Error()
}

// refuse answers err by its row.
func (a *api) refuse(w http.ResponseWriter, r *http.Request, err error) {
	row, reason := ReasonOf(err, r.Method != http.MethodGet && r.Method != http.MethodHead)
	a.logTrouble(r, row, err)
	if after := row.RetryAfter(); after != "" {
		w.Header().Set("Retry-After", after)
	}
	if row.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	reply(w, r, row.Status, contract.AppendRefusal(nil, reason, row.Code))
}

func (a *api) logTrouble(r *http.Request, row ErrorRow, err error) {
	row.Log(a.Log, err, "method", r.Method, "path", escapedPath(r))
}
