package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"belfry/internal/job"
)

// An endpoint turns a request into the body of a 200, or an error. The path
// values of r are ids, unescaped and checked. ctx ends after
// [Config.Timeout], or when the client leaves.
type endpoint func(ctx context.Context, r *http.Request, body []byte) ([]byte, error)

// noBody is the limit of endpoints that leave the body unread.
const noBody = 0

// serve makes an endpoint a handler that reads up to limit bytes of body.
func (a *api) serve(e endpoint, limit int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := unescapePath(r); err != nil {
			a.refuse(w, r, err)
			return
		}
		var body []byte
		if limit != noBody {
			var err error
			if body, err = readBody(w, r, limit); err != nil {
				a.refuse(w, r, err)
				return
			}
		}
		ctx, cancel := context.WithTimeout(r.Context(), a.Timeout)
		defer cancel()
		answer, err := e(ctx, r, body)
		switch {
		case err == nil:
			reply(w, http.StatusOK, answer)
		case r.Context().Err() != nil:
			// The client has left. Ending without an answer would be an
			// empty 200 to whoever still listens.
			panic(http.ErrAbortHandler)
		default:
			a.refuse(w, r, err)
		}
	}
}

// operation is [api.serve] for what can also be asked in other ways.
func (a *api) operation(do func(context.Context, Request) (Answer, error), limit int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.serve(func(ctx context.Context, r *http.Request, body []byte) ([]byte, error) {
			answer, err := do(ctx, Request{
				DB:         r.PathValue("db"),
				Collection: r.PathValue("collection"),
				ID:         r.PathValue("id"),
				Body:       body,
				Query:      r.URL.RawQuery,
				IfMatch:    r.Header.Values("If-Match"),
				Trace:      traceOf(r),
			})
			if err == nil && answer.Revision != 0 {
				w.Header().Set("ETag", ETag(answer.Revision))
			}
			return answer.Body, err
		}, limit)(w, r)
	}
}

// routeEscapedPath has chi route on the path as the client escaped it, always.
// By itself it does so only when the escapes are unusual ones, and a parameter
// would not tell whether it is still escaped.
func routeEscapedPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chi.RouteContext(r.Context()).RoutePath = escapedPath(r)
		next.ServeHTTP(w, r)
	})
}

// escapedPath is the path as the client sent it. [url.URL.EscapedPath] alone
// is not: when the client left a character unescaped that should not be, it
// escapes anew, and a %2F becomes a slash.
func escapedPath(r *http.Request) string {
	if r.URL.RawPath != "" {
		return r.URL.RawPath
	}
	return r.URL.EscapedPath()
}

// unescapePath unescapes the ids in the path, once, and checks them.
func unescapePath(r *http.Request) error {
	params := chi.RouteContext(r.Context()).URLParams
	for i, name := range params.Keys {
		id, err := url.PathUnescape(params.Values[i])
		if err != nil {
			return fmt.Errorf("%w: %s is not percent-encoded", job.ErrID, name)
		}
		if err := job.CheckID(name, id); err != nil {
			return err
		}
		r.SetPathValue(name, id)
	}
	return nil
}

// unread says why a body was not read. It is answered like the
// [job.ErrSyntax] that it wraps, without judging what the body holds.
type unread string

func (u unread) Error() string { return "the body " + string(u) }
func (unread) Unwrap() error   { return job.ErrSyntax }

// readBody reads a body of up to limit bytes. It reads nothing of one that
// says it is longer, and no more than the limit of one that does not say, and
// has the connection closed, so that the server does not read the rest either.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if err := plainEncoding(r); err != nil {
		return nil, err
	}
	tooLarge := fmt.Errorf("%w: the body has more than %d bytes", job.ErrTooLarge, limit)
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close")
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		// The server is told by MaxBytesReader only if w is its own.
		w.Header().Set("Connection", "close")
		return nil, tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, unread("did not arrive in time")
	case err != nil:
		return nil, unread("could not be read to its end")
	}
	return body, nil
}

// plainEncoding refuses a body that is compressed.
func plainEncoding(r *http.Request) error {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return unread("has the Content-Encoding " + job.Quote(encoding) + "; plain JSON is accepted")
	}
	return nil
}

func (a *api) notFound(w http.ResponseWriter, r *http.Request) {
	a.refuse(w, r, fmt.Errorf("%w; /docs lists those that are served", errNoPath))
}

func (a *api) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		if a.mux.Match(chi.NewRouteContext(), method, escapedPath(r)) {
			allowed = append(allowed, method)
			if method == http.MethodGet {
				allowed = append(allowed, http.MethodHead)
			}
		}
	}
	if allowed == nil { // chi says so of methods it does not know, on any path
		a.notFound(w, r)
		return
	}
	list, are := strings.Join(allowed, ", "), "are"
	if len(allowed) == 1 {
		are = "is"
	}
	w.Header().Set("Allow", list)
	a.refuse(w, r, fmt.Errorf("%w: %s %s allowed", errMethod, list, are))
}

// recoverPanic answers 500 for a handler that panicked: nothing is written
// before the whole answer is known.
func (a *api) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler:
				panic(v)
			default:
				a.refuse(w, r, Panicked(v))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// reply answers with a body and a newline, for people at a terminal.
func reply(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	w.Write(body) // fails when the client is gone, which is no one's loss
	io.WriteString(w, "\n")
}
