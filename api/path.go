package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5"

	"belfry/internal/job"
)

// routeEscapedPath makes chi always route on the path as the client escaped it. By
// itself chi does so only when the escapes are unusual, and a parameter would not show
// whether it is still escaped.
func routeEscapedPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chi.RouteContext(r.Context()).RoutePath = escapedPath(r)
		next.ServeHTTP(w, r)
	})
}

// escapedPath is the path as the client sent it. [url.URL.EscapedPath] alone is not:
// if the client left a character unescaped that should not be, it escapes the path
// anew, and a %2F becomes a slash.
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
	if allowed == nil { // chi answers so for methods it does not know, on any path
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

// emptyID answers a path that ends where the id should be.
func emptyID(*api, context.Context, *http.Request, []byte) ([]byte, error) {
	return nil, job.CheckID("id", "")
}
