package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"belfry/internal/job"
)

var (
	errNoToken     = errors.New("no valid token")
	errForbidden   = errors.New("the token may not do this")
	errAuthOff     = errors.New("authentication is off")
	errTooFast     = errors.New("too many requests")
	errNoAccessRow = errors.New("the endpoint has no row in the table of endpoints")
)

// root is the caller with the configured admin token, which is in no bucket.
var root = job.Token{ID: "admin", Role: job.Admin, AllDBs: true}

// auth decides which caller may do what. Its fields are only read, except for the
// limiter, which guards itself.
type auth struct {
	tokens   Tokens
	admin    *[sha256.Size]byte // of the configured admin token, if there is one
	requests *limiter
}

// authorize lets through what the table of endpoints allows. It finds the endpoint of
// a request the same way that chi does afterwards.
func (a *api) authorize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pattern, db := a.endpointOf(r)
		need, ok := needs[pattern]
		switch {
		case pattern == "":
			need = anyToken // to learn which endpoints there are
		case !ok:
			a.refuse(w, r, fmt.Errorf("%w: %s", errNoAccessRow, pattern))
			return
		}
		if need == open {
			next.ServeHTTP(w, r)
			return
		}
		caller, err := a.auth.callerOf(r)
		if wait := a.auth.requests.take(callerKey(r, caller), time.Now()); wait > 0 {
			seconds := int64((wait + time.Second - 1) / time.Second)
			w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
			err = fmt.Errorf("%w: %s a second are accepted; try again in %d s", errTooFast, a.auth.requests, seconds)
		}
		if err == nil && caller != nil {
			err = need.allows(caller, db)
		}
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// endpointOf returns the method and pattern of the endpoint that a request is
// for, or "" if there is none, and the db in its path, or "".
func (a *api) endpointOf(r *http.Request) (pattern, db string) {
	now := chi.RouteContext(r.Context())
	method := now.RouteMethod // HEAD has become this
	if method == "" {
		method = r.Method
	}
	rctx := chi.NewRouteContext()
	if pattern = a.mux.Find(rctx, method, escapedPath(r)); pattern == "" {
		return "", ""
	}
	// A db that is not percent-encoded is refused later, and is "" here, which is no
	// db.
	db, _ = url.PathUnescape(rctx.URLParam("db"))
	return method + " " + pattern, db
}

// callerOf returns the token that a request comes with, or nil when
// authentication is off. Nothing of a token is in the error.
func (a *auth) callerOf(r *http.Request) (*job.Token, error) {
	text, err := bearer(r)
	if err == nil && a.isAdmin(text) {
		return &root, nil
	}
	if on, onErr := a.on(); onErr != nil || !on {
		return nil, onErr
	}
	if err != nil {
		return nil, err
	}
	id, secret, ok := job.SplitToken(text)
	if !ok {
		return nil, fmt.Errorf("%w: it is none of Belfry's", errNoToken)
	}
	t, err := a.tokens.Find(id)
	switch {
	case errors.Is(err, job.ErrTokenNotFound) || err == nil && !t.Opens(secret, time.Now()):
		return nil, fmt.Errorf("%w: it is unknown, revoked or expired", errNoToken)
	case err != nil:
		return nil, err
	}
	return &t, nil
}

// on reports whether authentication is on.
func (a *auth) on() (bool, error) {
	if a.admin != nil {
		return true, nil
	}
	return a.tokens.InUse()
}

// isAdmin compares sums, which all have one length whatever was sent.
func (a *auth) isAdmin(text string) bool {
	sum := sha256.Sum256([]byte(text))
	return a.admin != nil && subtle.ConstantTimeCompare(sum[:], a.admin[:]) == 1
}

// bearer returns the token of the one Authorization header.
func bearer(r *http.Request) (string, error) {
	given := r.Header.Values("Authorization")
	if len(given) != 1 {
		return "", fmt.Errorf("%w: one header \"Authorization: Bearer <token>\" is accepted, and there are %d", errNoToken, len(given))
	}
	scheme, text, _ := strings.Cut(given[0], " ")
	if text = strings.TrimSpace(text); text == "" || !strings.EqualFold(scheme, "Bearer") {
		return "", fmt.Errorf("%w: \"Authorization: Bearer <token>\" is accepted", errNoToken)
	}
	return text, nil
}

// callerKey identifies the caller whose requests are counted: by its token, or without
// one by its address. For IPv6 it is the network that one host can fill.
func callerKey(r *http.Request, caller *job.Token) string {
	if caller != nil {
		return caller.ID
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		return netip.PrefixFrom(addr, 64).Masked().String()
	}
	return addr.String()
}

// allows reports whether the token has the role for the db in the path; an
// endpoint without one is for all dbs.
func (n need) allows(t *job.Token, db string) error {
	switch {
	case n == anyToken:
		return nil
	case !t.Role.Includes(n.role):
		return fmt.Errorf("%w: it has the role %s; the role %s is accepted", errForbidden, t.Role, n.role)
	case !t.Reaches(db):
		return fmt.Errorf("%w: its dbs do not reach so far", errForbidden)
	}
	return nil
}
