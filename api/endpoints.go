package api

import (
	"net/http"
	"slices"
	"strings"
)

// endpoint is one thing that a client can ask for. Its row in [endpoints] decides
// everything about it: New registers it, authorize checks callers against it, and
// tests hold openapi.json and the documents to it.
type endpoint struct {
	operation string // its operationId in openapi.json, which also says what it does
	asked     string // method and pattern, as in "GET /job/{db}"; HEAD is like GET
	needs     need   // who may call it
	body      bodyLimit
	served    way
}

// bodyLimit is how much of a request's body an endpoint reads.
type bodyLimit int

const (
	noBody    bodyLimit = iota // nothing; a body is left unread
	shortBody                  // up to [MaxBody]
	jobBody                    // up to [Operations.MaxJobBody]
	anyLength                  // all of it, as it arrives
)

// endpoints is every endpoint there is, in the order of the documents. Ids may be
// any text, so a path begins with a word that is no id.
var endpoints = []endpoint{
	{"createJob", "POST /job/{db}/{collection}", writer, jobBody, operation(Operations.CreateJob)},
	{"getJob", "GET /job/{db}/{collection}/{id}", reader, noBody, operation(Operations.GetJob)},
	{"updateJob", "PUT /job/{db}/{collection}/{id}", writer, jobBody, operation(Operations.UpdateJob)},
	{"cancelJob", "DELETE /job/{db}/{collection}/{id}", writer, noBody, operation(Operations.CancelJob)},
	{"fireJob", "POST /job/{db}/{collection}/{id}/fire", writer, noBody, operation(Operations.FireJob)},
	{"getAttempts", "GET /job/{db}/{collection}/{id}/attempts", reader, noBody, call((*api).jobAttempts)},
	{"createJobs", "POST /bulk/{db}/{collection}", writer, anyLength, stream((*api).createJobs)},
	{"listJobs", "GET /job/{db}", reader, noBody, operation(Operations.ListJobs)},
	{"listCollectionJobs", "GET /job/{db}/{collection}", reader, noBody, operation(Operations.ListJobs)},
	{"cancelJobs", "POST /cancel/{db}", writer, shortBody, call((*api).cancelJobs)},
	{"cancelCollectionJobs", "POST /cancel/{db}/{collection}", writer, shortBody, call((*api).cancelJobs)},

	{"listDBs", "GET /db", reader, noBody, call((*api).listDBs)},
	{"listCollections", "GET /db/{db}", reader, noBody, call((*api).listCollections)},

	{"createRoute", "POST /route/{db}", writer, shortBody, operation(Operations.CreateRoute)},
	{"getRoute", "GET /route/{db}/{id}", reader, noBody, operation(Operations.GetRoute)},
	{"listRoutes", "GET /route/{db}", reader, noBody, operation(Operations.ListRoutes)},
	{"replaceRoute", "PUT /route/{db}/{id}", writer, shortBody, operation(Operations.ReplaceRoute)},
	{"pauseRoute", "POST /route/{db}/{id}/pause", writer, shortBody, operation(Operations.PauseRoute)},
	{"resumeRoute", "POST /route/{db}/{id}/resume", writer, noBody, operation(Operations.ResumeRoute)},
	{"rotateSecret", "POST /route/{db}/{id}/rotate", writer, shortBody, call((*api).rotateSecret)},
	{"deleteRoute", "DELETE /route/{db}/{id}", writer, noBody, operation(Operations.DeleteRoute)},

	{"listDead", "GET /dead/{db}", reader, noBody, call((*api).listDead)},
	{"getDead", "GET /dead/{db}/{sequence}", reader, noBody, call((*api).showDead)},
	{"redriveMany", "POST /dead/{db}/redrive", writer, shortBody, call(forEach(Letters.RedriveEach, redriven))},
	{"redrive", "POST /dead/{db}/{sequence}/redrive", writer, noBody, call(forOne(Letters.Redrive, redriven))},
	{"discardMany", "POST /dead/{db}/discard", writer, shortBody, call(forEach(Letters.DiscardEach, discarded))},
	{"discard", "DELETE /dead/{db}/{sequence}", writer, noBody, call(forOne(Letters.Discard, discarded))},

	{"createToken", "POST /token", admin, shortBody, call((*api).createToken)},
	{"listTokens", "GET /token", admin, noBody, call((*api).listTokens)},
	{"revokeToken", "DELETE /token/{id}", admin, noBody, call((*api).deleteToken)},

	{"backup", "GET /backup", admin, noBody, stream((*api).makeBackup)},
	{"restore", "POST /restore", admin, anyLength, stream((*api).restoreBackup)},

	{"about", "GET /", open, noBody, page((*api).about)},
	{"docs", "GET /docs", open, noBody, page((*api).docs)},
	{"openapi", "GET /openapi.json", open, noBody, page((*api).describe)},
	{"healthz", "GET /healthz", open, noBody, probe((*api).healthz)},
	{"readyz", "GET /readyz", open, noBody, probe((*api).readyz)},
	{"metrics", "GET /metrics", reader, noBody, scrape},
}

// method and pattern are the request's, in chi's form.
func (e endpoint) method() string  { return strings.Fields(e.asked)[0] }
func (e endpoint) pattern() string { return strings.Fields(e.asked)[1] }

// documented is the form that users write.
func (e endpoint) documented() string { return strings.NewReplacer("{", ":", "}", "").Replace(e.asked) }

// withoutID returns the endpoint that only says that the id is empty: chi never
// matches a last parameter to an empty value.
func (e endpoint) withoutID() (empty endpoint, ok bool) {
	asked, ok := strings.CutSuffix(e.asked, "{id}")
	return endpoint{asked: asked, needs: e.needs, served: call(emptyID)}, ok
}

// registered returns the endpoints that chi knows: e, and e without an id if it ends
// with one.
func (e endpoint) registered() []endpoint {
	if empty, ok := e.withoutID(); ok {
		return []endpoint{e, empty}
	}
	return []endpoint{e}
}

// register makes chi route requests to the endpoint, if this api has it.
func (a *api) register(e endpoint) {
	for _, e := range e.registered() {
		if handler := e.served.handler(a, e); handler != nil {
			a.mux.Method(e.method(), e.pattern(), handler)
		}
	}
}

// needs is what each endpoint needs, by method and pattern. An endpoint that is not in
// it is refused to everybody.
var needs = func() map[string]need {
	all := map[string]need{}
	for _, e := range endpoints {
		for _, e := range e.registered() {
			all[e.asked] = e.needs
		}
	}
	return all
}()

// pathsOf lists the paths, which have no ids, of the endpoints of these kinds.
func pathsOf(kinds ...kind) (paths []string) {
	for _, e := range endpoints {
		if slices.Contains(kinds, e.served.kind) {
			paths = append(paths, e.pattern())
		}
	}
	return paths
}

// Terms are what an endpoint shares with other ways to ask for the same.
type Terms struct {
	Endpoint string // as the documents have it: "GET /job/:db"
	Write    bool   // it may change something
	JobBody  bool   // its body may be [Operations.MaxJobBody] long, not only [MaxBody]
}

// TermsOf returns the terms of the endpoint with that operationId, which must exist.
func TermsOf(operation string) Terms {
	for _, e := range endpoints {
		if e.operation == operation {
			return Terms{e.documented(), e.method() != http.MethodGet, e.body == jobBody}
		}
	}
	panic("there is no endpoint " + operation)
}

// Endpoints returns the endpoints, as in "GET /job/{db}".
func Endpoints() []string {
	var all []string
	for _, e := range endpoints {
		all = append(all, e.asked)
	}
	return all
}
