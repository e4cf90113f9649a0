package service

import (
	"context"
	"fmt"
	"strings"

	"belfry/api"
)

// endpoint is one operation, and how to ask for it.
type endpoint struct {
	name string // in the answers to $SRV.INFO and $SRV.STATS

	// subject is where requests go. The tokens in angle brackets are ids, as
	// [Config.Unescape] reads them.
	subject string

	body string    // describes a request's body in the documentation
	like api.Terms // the terms of the same operation over REST

	do func(api.Operations, context.Context, api.Request) (api.Answer, error)
}

// The places of ids in subjects.
const (
	db         = "<db>"
	collection = "<collection>"
)

// The prefix, the kind of resource, and the action come before the ids, so that
// permissions can name an operation, a db, or both.
const prefix = "belfry."

// Subjects match the subjects of all endpoints, behind the prefix of [Config].
const Subjects = prefix + ">"

const (
	filters = "the filters of [Lists](../README.md#lists), or nothing"
	named   = "`id`"
)

var endpoints = []endpoint{
	{"job-create", prefix + "job.create." + db + "." + collection, "the job", api.TermsOf("createJob"), api.Operations.CreateJob},
	{"job-get", prefix + "job.get." + db + "." + collection, named, api.TermsOf("getJob"), api.Operations.GetJob},
	{"job-update", prefix + "job.update." + db + "." + collection, "the job", api.TermsOf("updateJob"), api.Operations.UpdateJob},
	{"job-delete", prefix + "job.delete." + db + "." + collection, named, api.TermsOf("cancelJob"), api.Operations.CancelJob},
	{"job-fire", prefix + "job.fire." + db + "." + collection, named, api.TermsOf("fireJob"), api.Operations.FireJob},
	{"job-list", prefix + "job.list." + db + "." + collection, filters, api.TermsOf("listCollectionJobs"), api.Operations.FindJobs},
	{"job-list-db", prefix + "job.list." + db, filters, api.TermsOf("listJobs"), api.Operations.FindJobs},

	{"route-create", prefix + "route.create." + db, "the route", api.TermsOf("createRoute"), api.Operations.CreateRoute},
	{"route-get", prefix + "route.get." + db, named, api.TermsOf("getRoute"), api.Operations.GetRoute},
	{"route-update", prefix + "route.update." + db, "the route", api.TermsOf("replaceRoute"), api.Operations.ReplaceRoute},
	{"route-delete", prefix + "route.delete." + db, named, api.TermsOf("deleteRoute"), api.Operations.DeleteRoute},
	{"route-pause", prefix + "route.pause." + db, named + ", and `paused_until` if wanted", api.TermsOf("pauseRoute"), api.Operations.PauseRoute},
	{"route-resume", prefix + "route.resume." + db, named, api.TermsOf("resumeRoute"), api.Operations.ResumeRoute},
	{"route-list", prefix + "route.list." + db, "`limit` and `cursor`, or nothing", api.TermsOf("listRoutes"), api.Operations.FindRoutes},
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
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | `%s` |\n", e.name, e.subject, e.body, e.like.Endpoint)
	}
	return b.String()
}
