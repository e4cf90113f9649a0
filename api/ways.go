package api

import (
	"context"
	"net/http"

	"belfry/internal/room"
)

// way is how an endpoint is served.
type way struct {
	kind    kind
	handler func(*api, endpoint) http.Handler // nil if this api does not have it
}

// kind says what holds for an endpoint besides its own row.
type kind int

const (
	// storeKind is answered whole, within [Config.Timeout].
	storeKind kind = iota
	// streamKind has a time limit for each read and each write, and none as a
	// whole; see [deadlines].
	streamKind
	// pageKind needs nothing but memory.
	pageKind
	// probeKind is asked all the time. It is answered however crowded it is and
	// while Belfry starts, within [probeTime], and is not traced.
	probeKind
	// scrapeKind is asked all the time, and is not traced.
	scrapeKind
)

// A plainAction answers with a body alone.
type plainAction func(*api, context.Context, *http.Request, []byte) ([]byte, error)

func (do plainAction) action(a *api, ctx context.Context, r *http.Request, body []byte) (Answer, error) {
	answer, err := do(a, ctx, r, body)
	return Answer{Body: answer}, err
}

// call is for requests that exist over HTTP only.
func call(do plainAction) way {
	return way{storeKind, func(a *api, e endpoint) http.Handler { return a.serve(e, do.action, a.Timeout) }}
}

// probe is for requests by which machines learn whether Belfry works.
func probe(do plainAction) way {
	return way{probeKind, func(a *api, e endpoint) http.Handler { return a.serve(e, do.action, min(probeTime, a.Timeout)) }}
}

// operation is for requests that can also come in other ways.
func operation(do func(Operations, context.Context, Request) (Answer, error)) way {
	ask := func(a *api, ctx context.Context, r *http.Request, body []byte) (Answer, error) {
		return do(a.Operations, ctx, Request{
			DB:          r.PathValue("db"),
			Collection:  r.PathValue("collection"),
			ID:          r.PathValue("id"),
			Body:        body,
			Query:       r.URL.RawQuery,
			IfMatch:     r.Header.Values("If-Match"),
			IfNoneMatch: r.Header.Values("If-None-Match"),
			Trace:       traceOf(r),
		})
	}
	return way{storeKind, func(a *api, e endpoint) http.Handler { return a.serve(e, ask, a.Timeout) }}
}

// stream is for bodies and answers of any length. The request's context has its
// ticket, for [room.Of].
func stream(do func(*api, http.ResponseWriter, *http.Request)) way {
	return way{streamKind, func(a *api, e endpoint) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := unescapePath(r); err != nil {
				a.refuse(w, r, err)
				return
			}
			if e.body == anyLength {
				r = untilWritten(r)
			}
			held := a.Memory.Ticket(r.PathValue("db"))
			defer held.Close()
			do(a, w, r.WithContext(room.With(r.Context(), held)))
		})
	}}
}

// page is for answers that need no store.
func page(do func(*api, http.ResponseWriter, *http.Request)) way {
	return way{pageKind, func(a *api, _ endpoint) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { do(a, w, r) })
	}}
}

// scrape serves [Config.Scrape].
var scrape = way{scrapeKind, func(a *api, _ endpoint) http.Handler { return a.Scrape }}
