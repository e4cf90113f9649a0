package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"belfry/internal/job"
)

var (
	errCrossOrigin = errors.New("the request comes from a web page of another origin")
	errHost        = errors.New("the host is not that of a local server")
)

// fromHere refuses what a browser sends for a page that is not Belfry's, which
// would otherwise speak with the rights of the machine that it runs on. While
// authentication is on, any Host is accepted: a page knows no token.
func (a *api) fromHere(next http.Handler) http.Handler {
	return a.onlyIf(next, func(r *http.Request) error {
		if err := checkOrigin(r); err != nil || a.LoopbackHost == "" {
			return err
		}
		// Whether it is on may not be known yet; then only what is open to
		// everybody gets any further.
		if on, err := a.auth.on(); on || err != nil {
			return nil
		}
		return checkHost(r, a.LoopbackHost)
	})
}

// Local guards another handler as the API is guarded while authentication is
// off. host is that of its listener, a loopback one.
func Local(host string, log *slog.Logger, next http.Handler) http.Handler {
	a := &api{Config: Config{Log: log}}
	return a.onlyIf(next, func(r *http.Request) error {
		if err := checkOrigin(r); err != nil {
			return err
		}
		return checkHost(r, host)
	})
}

func (a *api) onlyIf(next http.Handler, check func(*http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := check(r); err != nil {
			a.refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// origins is the same for all: it trusts nobody.
var origins http.CrossOriginProtection

// checkOrigin refuses what may change something and was sent for a page of
// another origin, as browsers say. Nothing else says so.
func checkOrigin(r *http.Request) error {
	if origins.Check(r) == nil {
		return nil
	}
	return fmt.Errorf("%w: Origin is %s, Sec-Fetch-Site is %s; %s is accepted without either, or from a page of this server",
		errCrossOrigin, job.Quote(r.Header.Get("Origin")), job.Quote(r.Header.Get("Sec-Fetch-Site")), job.Quote(r.Method))
}

// checkHost refuses a Host that is neither a name of this machine nor the one
// that the server was told to listen on. A page can have a name of its own
// lead to a loopback address (DNS rebinding), and is of the same origin then;
// the name still tells. Browsers always send one.
func checkHost(r *http.Request, listens string) error {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if addr, err := netip.ParseAddr(host); err == nil && addr.Unmap().IsLoopback() {
		return nil
	}
	if host == "" || strings.EqualFold(host, "localhost") || strings.EqualFold(host, listens) {
		return nil
	}
	return fmt.Errorf("%w: Host is %s; without authentication localhost and loopback addresses are accepted, as in http://127.0.0.1:8080; with --admin-token-file any host is",
		errHost, job.Quote(r.Host))
}
