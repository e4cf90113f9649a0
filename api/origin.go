package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"belfry/internal/job"
)

var (
	errCrossOrigin = errors.New("the request comes from a web page of another origin")
	errHost        = errors.New("the host is not that of a local server")
)

// fromHere refuses requests that a browser sends for a page that is not Belfry's. Such
// a page would otherwise have the rights of the machine that the browser runs on.
// While authentication is on, any Host is accepted, since a page knows no token.
func (a *api) fromHere(next http.Handler) http.Handler {
	return a.onlyIf(next, func(r *http.Request) error {
		if err := checkOrigin(r); err != nil || a.LoopbackHost == "" {
			return err
		}
		// It may not be known yet whether authentication is on. Until then, only
		// requests that are open to everybody get any further.
		if on, err := a.auth.on(); on || err != nil {
			return nil
		}
		return checkHost(r, a.LoopbackHost)
	})
}

// Local guards another handler as the API is guarded while authentication is off. host
// is the host of its listener, a loopback one.
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

// origins is the same for all handlers: it trusts no other origin.
var origins http.CrossOriginProtection

// checkOrigin refuses a request that may change something and that a browser sent for
// a page of another origin. Only browsers send these headers. If a header is given
// more than once, each value counts: the first may come from somebody else.
func checkOrigin(r *http.Request) error {
	sites, from := r.Header.Values("Sec-Fetch-Site"), r.Header.Values("Origin")
	if origins.Check(r) == nil && (safe(r.Method) || len(sites) <= 1 && len(from) <= 1) {
		return nil
	}
	return fmt.Errorf("%w: Origin is %s, Sec-Fetch-Site is %s; %s is accepted without either, or from a page of this server",
		errCrossOrigin, job.Quote(strings.Join(from, ", ")), job.Quote(strings.Join(sites, ", ")), job.Quote(r.Method))
}

// safe reports whether requests of the method only read.
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// checkHost refuses a Host that is neither a name of this machine nor the one that the
// server listens on. A page can point its own name at a loopback address (DNS
// rebinding), and then has the same origin, but the name still gives it away. Browsers
// always send a Host; HTTP/1.0 may not.
func checkHost(r *http.Request, listens string) error {
	host, ok := hostOf(r.Host)
	if r.Host == "" || ok && (isLoopback(host) || strings.EqualFold(host, listens)) {
		return nil
	}
	return fmt.Errorf("%w: Host is %s; without authentication localhost and loopback addresses are accepted, as in http://127.0.0.1:8080; with --admin-token-file any host is",
		errHost, job.Quote(r.Host))
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// hostOf splits the value of a Host header, which is a name, an IPv4 address, or
// an IPv6 address in brackets, and perhaps a port. It is strict: browsers and
// clients write nothing else, so a value that has to be guessed at is refused.
func hostOf(value string) (host string, ok bool) {
	host, port, hasPort := strings.Cut(value, ":")
	if inner, bracket := strings.CutPrefix(value, "["); bracket {
		var closed bool
		host, port, closed = strings.Cut(inner, "]")
		addr, err := netip.ParseAddr(host)
		if !closed || err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", false
		}
		if hasPort = port != ""; hasPort {
			if port, ok = strings.CutPrefix(port, ":"); !ok {
				return "", false
			}
		}
	}
	if hasPort && !isPort(port) {
		return "", false
	}
	return host, host != "" && !strings.ContainsAny(host, "[]@/\\%?# \t,")
}

// isPort reports whether s is a port in decimal digits, from 1 to 65535.
func isPort(s string) bool {
	port, err := strconv.ParseUint(s, 10, 16)
	return err == nil && port > 0 && len(s) <= len("65535")
}
