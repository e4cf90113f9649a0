// Package api is the REST API over chi; it knows HTTP and the domain, not
// NATS. [Operations] has the requests that can also come in other ways than HTTP.
//
// Success is 200, with {"status":"ok"} for every write. Everything else is
// {"error","code"}: the reason for humans, and one of the stable codes of
// [ErrorTable], machine-readable. A request that net/http refuses earlier, such as
// one with a malformed percent-encoding, is answered in text. A write is answered
// with 200 only after the store has confirmed it. HEAD is GET without the body.
//
// Each id in a path is one percent-encoded segment and may be any text that
// [job.CheckID] accepts: a slash in it is written %2F. Query strings are
// ignored, except for lists. The Content-Type of requests is ignored, too.
//
// Authentication is on while an admin token is configured, and for ever once the
// first token was made. While it is on, each request needs a bearer token with
// the role and the db that the table of endpoints says. A write that a browser sends
// for a page of another origin is refused in any case.
package api

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"golang.org/x/sync/singleflight"

	"belfry/internal/job"
	"belfry/internal/metrics"
	"belfry/internal/room"
	"belfry/internal/tracing"
)

// Jobs is the store of jobs. Its errors wrap the sentinels of package job; an error
// that wraps none is Belfry's own fault.
type Jobs interface {
	Create(context.Context, job.Job) error
	Get(context.Context, job.Key) (job.Record, error)
	Fire(context.Context, job.Key) error

	// Update and Cancel apply to the revision expect only, unless it is 0.
	Update(ctx context.Context, j job.Job, expect uint64) error
	Cancel(ctx context.Context, key job.Key, expect uint64) error

	List(context.Context, job.Query) (job.Page, error)
	CancelEach(ctx context.Context, q job.Query, dry bool) (job.CancelRun, error)
	Places(context.Context, job.PlaceQuery) (job.Places, error)
}

// Routes is the store of routes. Its errors are like those of [Jobs].
type Routes interface {
	Create(context.Context, job.Route) error
	Get(context.Context, job.RouteKey) (job.Route, error)
	List(context.Context, job.RouteQuery) (job.RoutePage, error)
	Rotate(ctx context.Context, key job.RouteKey, secret string, grace time.Duration) (job.Route, error)

	// Pause keeps the route's jobs from firing until then, in unix milliseconds. If
	// that is 0, it lasts until Resume.
	Pause(ctx context.Context, key job.RouteKey, until int64) error
	Resume(context.Context, job.RouteKey) error

	// Replace and Delete apply to the revision expect only, unless it is 0.
	Replace(ctx context.Context, r job.Route, expect uint64) error
	Delete(ctx context.Context, key job.RouteKey, expect uint64) error
}

// Config is what the API is made of. The stores are required.
type Config struct {
	// Operations has the stores of jobs and routes.
	Operations Operations

	Letters  Letters
	Attempts Attempts
	Tokens   Tokens
	Backups  Backups

	// AdminToken is the first token, which may do everything; empty is none. It is
	// never logged.
	AdminToken string

	// LoopbackHost is the host that the API listens on, if that is a loopback address
	// or a name of one. While authentication is off, a request must name it,
	// localhost, or a loopback address as its host. Empty accepts any host.
	LoopbackHost string

	// RequestRate is how many requests a second each token may make, or each remote
	// address without a token; 0 is no limit.
	RequestRate int

	// Memory bounds what requests hold: the bodies they read, and the answers that
	// their clients have not taken. nil is no bound.
	Memory *room.Pool

	// Admit waits until the connection of a request may have it served, or returns why
	// not, after [TurnPatience] at most. Probes do not wait. nil admits all.
	Admit func(context.Context) error

	// Timeout is how long the store may take for one request; 0 means 5 s.
	Timeout time.Duration

	// Metrics counts the requests; nil counts none.
	Metrics *metrics.API

	// Tracer makes a span of each request; nil makes none.
	Tracer *tracing.Tracer

	// Scrape serves /metrics; without it there is no such path.
	Scrape http.Handler

	// Log receives one line per answer of 500 and above, at the level debug
	// if it is that Belfry is not ready; nil is [slog.Default]. Bodies,
	// queries and URLs of routes are never logged.
	Log *slog.Logger

	// Version is Belfry's version, for humans.
	Version string

	// Ready says why requests cannot be served now. /readyz repeats its error to every
	// caller, after 2 s at most. nil is always ready.
	Ready func(context.Context) error

	// Warnings says what is wrong although requests can be served; /readyz repeats it.
	// nil is no warnings.
	Warnings func() []string
}

// MaxBody is the longest body of anything but a job, in bytes. For a job it is the
// allowance beside the meta: ids written wholly in \u escapes, a long webhook URL, the
// headers of a route, and generous white space.
const MaxBody = 16 << 10

// DefaultTimeout is how long the store may take for one request by default.
const DefaultTimeout = 5 * time.Second

// api is the handler; its fields are only read.
type api struct {
	Config
	auth  auth
	mux   *chi.Mux
	looks singleflight.Group // joins the probes of /readyz to one look
}

// New returns the API, safe for concurrent use.
func New(cfg Config) http.Handler {
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Warnings == nil {
		cfg.Warnings = func() []string { return nil }
	}
	if cfg.Ready == nil {
		cfg.Ready = func(context.Context) error { return nil }
	}
	a := &api{Config: cfg, mux: chi.NewRouter()}
	a.auth = auth{tokens: cfg.Tokens, requests: newLimiter(cfg.RequestRate)}
	if cfg.AdminToken != "" {
		sum := sha256.Sum256([]byte(cfg.AdminToken))
		a.auth.admin = &sum
	}
	a.mux.Use(untilAnswered, a.watch, a.recoverPanic, a.admit, a.fromHere, routeEscapedPath, middleware.GetHead)
	a.mux.Use(a.authorize)
	a.mux.NotFound(a.notFound)
	a.mux.MethodNotAllowed(a.methodNotAllowed)

	for _, e := range endpoints {
		a.register(e)
	}
	return a.mux
}
