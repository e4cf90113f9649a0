// Package delivery takes fires from the inboxes of routes and hands them to
// their targets.
//
// It promises that the result of a try is written before its fire is let go,
// so that a fire is POSTed again only when Belfry died, or stayed cut off from
// its store, between the POST and the write; the repeat carries the same
// webhook-id. A slow or dead target holds up its own route only. Neither
// payloads nor URLs reach logs, errors or stored details.
//
// The fires of NATS routes are for their subscribers: of those it only buries
// what is left in the inbox of a deleted route.
package delivery

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"belfry/internal/job"
	"belfry/internal/metrics"
	"belfry/internal/tracing"
)

// Jobs settles how fires stand and what becomes of them. Its methods are
// called concurrently.
type Jobs interface {
	// Standing applies the worker's rule ([job.Judge]), asking the leader
	// where a replica cannot tell. The record is the one it judged.
	Standing(context.Context, job.Fire) (job.Standing, job.Record, error)

	// Finish writes the result over the fire's claim as one compare-and-set;
	// of a job that died on this fire the copy in DEAD is written next, also
	// when an earlier call stopped short of it. It is nil, too, when the
	// record had moved on and nothing was written. An error that is
	// [job.ErrUnavailable] or [job.ErrUnknownOutcome] is worth repeating.
	Finish(context.Context, job.Fire, job.Result) error

	// Bury writes the fire into DEAD, at least once. As for Finish, it is the
	// store's to log what it wrote there.
	Bury(context.Context, job.Fire, job.Result) error
}

// Routes knows where routes lead.
type Routes interface {
	// Get returns the route, fresh enough to follow a PUT. That there is none
	// ([job.ErrRouteNotFound]) must be the leader's word: the job dies of it.
	Get(context.Context, job.RouteKey) (job.Route, error)
}

// Inboxes hands out the fires. Its methods are called concurrently.
type Inboxes interface {
	// Follow calls visit for each inbox there is, now and whenever its route
	// is created, replaced or deleted, until ctx ends; one call at a time.
	Follow(ctx context.Context, visit func(job.Inbox)) error

	// Notify has stir called with each route that is about to have a fire, or has
	// one that nobody works on, until off is called. A few may go unsaid for a
	// while, so one can be called twice or in vain. stir does not block.
	Notify(stir func(job.RouteKey)) (off func())

	// Busy reports whether the route has jobs whose fires are not finished.
	Busy(job.RouteKey) bool

	// Fetch hands at most max fires to take, as they come, and returns when
	// max were handed out, after at most wait, or when ctx ends. A fire that
	// is already on its way is still handed to take. take does not block; it
	// is called by one goroutine at a time, and not after Fetch returned.
	Fetch(ctx context.Context, key job.RouteKey, max int, wait time.Duration, take func(job.Handover)) error

	// Settled reports whether nothing is left in the inbox, neither waiting
	// nor unacked. An inbox that is gone is settled.
	Settled(context.Context, job.RouteKey) (bool, error)

	// Remove deletes the inbox of a deleted route. It leaves it alone when
	// the route is there again, and is nil when the inbox is gone.
	Remove(context.Context, job.RouteKey) error
}

// Attempts keeps what became of tries.
type Attempts interface {
	// Keep takes note of a try that has ended, whatever came of it. It does
	// not block.
	Keep(job.Fire, job.Attempt)
}

// Config is what a [Manager] works with.
type Config struct {
	// Jobs, Routes, Inboxes and Breakers are required.
	Jobs     Jobs
	Routes   Routes
	Inboxes  Inboxes
	Breakers Breakers

	// Attempts is told of each try; nil is nobody.
	Attempts Attempts

	// Metrics counts what happens; nil is nobody.
	Metrics *metrics.Delivery

	// Tracer makes a span of each try; nil makes none.
	Tracer *tracing.Tracer

	// Escape makes any id fit for a header value. Required.
	Escape func(string) string

	// Retry says when failed tries are repeated if their route does not; zero
	// is [job.DefaultRetry].
	Retry job.RetryPolicy

	// Timeout is how long one try may take, from the name lookup to the end
	// of the answer, if its route does not say; zero is [job.DefaultTimeout].
	// Meanwhile the fire is held on to each second, so that it need not wait as
	// long when its worker dies.
	Timeout time.Duration

	// Concurrency is how many tries of one route are under way at once, if it
	// does not say; zero is [job.DefaultConcurrency].
	Concurrency int

	// DenyPrivate refuses to connect to addresses that are not public; see
	// [Config.Allow]. Some addresses are refused always, metadata services of
	// clouds among them.
	DenyPrivate bool

	// Allow is what DenyPrivate leaves open.
	Allow []netip.Prefix

	// Resolver looks up the names in webhook URLs; nil is the system's.
	Resolver *net.Resolver

	// RootCAs are the authorities that receivers' certificates may be from; nil
	// are the system's.
	RootCAs *x509.CertPool

	// ConnectionAge is how long a connection is used at most, so that a name which
	// moved is followed; zero is two minutes.
	ConnectionAge time.Duration

	// DefaultScheme is put before a webhook URL that has no scheme; empty is
	// "https".
	DefaultScheme string

	// Grace is how long tries under way may go on after Run's context ended;
	// zero is 5 s more than Timeout, so that each can end by itself.
	Grace time.Duration

	// OrphanGrace is how long the inbox of a deleted route must have been
	// settled before it is removed, for a claim made before the deletion may
	// still be publishing; zero is a minute.
	OrphanGrace time.Duration

	// Version is told to receivers in User-Agent; empty is "dev".
	Version string

	// Log gets one line per notable event; nil is [slog.Default].
	Log *slog.Logger

	// Now is the clock of retry times and timestamps; nil is [time.Now].
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.Retry.IsZero() {
		c.Retry = job.DefaultRetry()
	}
	if c.Timeout == 0 {
		c.Timeout = job.DefaultTimeout
	}
	if c.Concurrency == 0 {
		c.Concurrency = job.DefaultConcurrency
	}
	if c.Attempts == nil {
		c.Attempts = nobody{}
	}
	if c.ConnectionAge == 0 {
		c.ConnectionAge = 2 * time.Minute
	}
	if c.DefaultScheme == "" {
		c.DefaultScheme = "https"
	}
	if c.Grace == 0 {
		c.Grace = c.Timeout + 5*time.Second
	}
	if c.OrphanGrace == 0 {
		c.OrphanGrace = time.Minute
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// nobody keeps no attempts.
type nobody struct{}

func (nobody) Keep(job.Fire, job.Attempt) {}
