package service

import (
	"context"
	"fmt"
	"strings"

	"belfry/api"
)

// endpoint is one operation, and how it is asked for.
type endpoint struct {
	name string // in the answers to $SRV.INFO and $SRV.STATS

	// subject is where requests go. The tokens in angle brackets are ids, as
	// [Config.Unescape] reads them.
	subject string

	body  string // says in the documentation what a request has
	like  string // the same over REST
	write bool   // it may change something
	large bool   // the body may have a meta

	do func(api.Operations, context.Context, api.Request) (api.Answer, error)
}

// The places of ids in subjects.
const (
	db         = "<db>"
	collection = "<collection>"
)

// The prefix, the kind of resource, and what to do, come before the ids, so that
// permissions can name an operation, a db, or both.
const prefix = "belfry."

// Subjects match those of all endpoints, behind the prefix of [Config].
const Subjects = prefix + ">"

const (
	filters = "the filters of [Lists](../README.md#lists), or nothing"
	named   = "`id`"
)

var endpoints = []endpoint{
	{"job-create", prefix + "job.create." + db + "." + collection, "the job", "POST /job/:db/:collection", true, true, api.Operations.CreateJob},
	{"job-get", prefix + "job.get." + db + "." + collection, named, "GET /job/:db/:collection/:id", false, false, api.Operations.GetJob},
	{"job-update", prefix + "job.update." + db + "." + collection, "the job", "PUT /job/:db/:collection/:id", true, true, api.Operations.UpdateJob},
	{"job-delete", prefix + "job.delete." + db + "." + collection, named, "DELETE /job/:db/:collection/:id", true, false, api.Operations.CancelJob},
	{"job-fire", prefix + "job.fire." + db + "." + collection, named, "POST /job/:db/:collection/:id/fire", true, false, api.Operations.FireJob},
	{"job-list", prefix + "job.list." + db + "." + collection, filters, "GET /job/:db/:collection", false, false, api.Operations.FindJobs},
	{"job-list-db", prefix + "job.list." + db, filters, "GET /job/:db", false, false, api.Operations.FindJobs},

	{"route-create", prefix + "route.create." + db, "the route", "POST /route/:db", true, false, api.Operations.CreateRoute},
	{"route-get", prefix + "route.get." + db, named, "GET /route/:db/:id", false, false, api.Operations.GetRoute},
	{"route-update", prefix + "route.update." + db, "the route", "PUT /route/:db/:id", true, false, api.Operations.ReplaceRoute},
	{"route-delete", prefix + "route.delete." + db, named, "DELETE /route/:db/:id", true, false, api.Operations.DeleteRoute},
	{"route-pause", prefix + "route.pause." + db, named + ", and `paused_until` if wanted", "POST /route/:db/:id/pause", true, false, api.Operations.PauseRoute},
	{"route-resume", prefix + "route.resume." + db, named, "POST /route/:db/:id/resume", true, false, api.Operations.ResumeRoute},
	{"route-list", prefix + "route.list." + db, "`limit` and `cursor`, or nothing", "GET /route/:db", false, false, api.Operations.FindRoutes},
}

// pattern is the subject to listen on.
func (e *endpoint) pattern() string {
	return strings.NewReplacer(db, "*", collection, "*").Replace(e.subject)
}

// ids returns the db and the collection, which may be "", of a request's
// subject, still escaped.
func (e *endpoint) ids(subject string) (dbToken, collectionToken string) {
	tokens := strings.Split(subject, ".")
	for i, place := range strings.Split(e.subject, ".") {
		switch {
		case i >= len(tokens): // cannot be: the server matches them
		case place == db:
			dbToken = tokens[i]
		case place == collection:
			collectionToken = tokens[i]
		}
	}
	return dbToken, collectionToken
}

// Markdown returns the table of endpoints as the documentation prints it.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| endpoint | subject | body | like |\n|---|---|---|---|\n")
	for _, e := range endpoints {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | `%s` |\n", e.name, e.subject, e.body, e.like)
	}
	return b.String()
}
