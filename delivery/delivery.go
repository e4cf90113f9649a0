// Package delivery takes fires from the inboxes of routes and hands them to
// their targets.
//
// It promises that the result of a try is written before its fire is let go,
// so that a fire is POSTed again only when Belfry died, or stayed cut off from
// its store, between the POST and the write; the repeat carries the same
// webhook-id. A slow or dead target holds up its own route only. Neither
// payloads nor URLs reach logs, errors or stored details.
//
// The fires of NATS routes are for their subscribers. The package only buries the
// fires left in the inbox of a deleted NATS route.
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

// Jobs decides the standing of fires and records their results. Its methods are called
// concurrently.
type Jobs interface {
	// Standing applies the worker's rule ([job.Judge]) and asks the leader where a
	// replica cannot tell. It returns the record that it judged.
	Standing(context.Context, job.Fire) (job.Standing, job.Record, error)

	// Finish writes the result over the fire's claim as one compare-and-set. For a job
	// that died on this fire it then writes the copy in DEAD, also when an earlier
	// call stopped short of it. It returns nil, too, when the record had moved on and
	// nothing was written. An error that is [job.ErrUnavailable] or
	// [job.ErrUnknownOutcome] is worth repeating.
	Finish(context.Context, job.Fire, job.Result) error

	// Bury writes the fire into DEAD, at least once. The store logs what it wrote
	// there, as it does for Finish.
	Bury(context.Context, job.Fire, job.Result) error
}

// Routes knows where routes lead.
type Routes interface {
	// Get returns the route, fresh enough to follow a PUT. [job.ErrRouteNotFound] must
	// be the leader's word, because the job dies of it.
	Get(context.Context, job.RouteKey) (job.Route, error)
}

// Inboxes hands out the fires. Its methods are called concurrently.
type Inboxes interface {
	// Follow calls visit for each existing inbox, and again whenever its route is
	// created, replaced or deleted, until ctx ends. It makes one call at a time.
	Follow(ctx context.Context, visit func(job.Inbox)) error

	// Notify calls stir, until off is called, for each route that is about to have a
	// fire or has one that nobody works on. It may miss a few for a while, so it can
	// call stir twice or in vain. stir does not block.
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

// Attempts keeps the results of tries.
type Attempts interface {
	// Keep records a try that has ended, whatever its result. It does not block.
	Keep(job.Fire, job.Attempt)
}

// Config is what a [Manager] works with.
type Config struct {
	// Jobs, Routes, Inboxes and Breakers are required.
	Jobs     Jobs
	Routes   Routes
	Inboxes  Inboxes
	Breakers Breakers

	// Attempts records each try; nil records none.
	Attempts Attempts

	// Metrics counts events; nil counts none.
	Metrics *metrics.Delivery

	// Tracer makes a span of each try; nil makes none.
	Tracer *tracing.Tracer

	// Escape turns any id into a valid header value. Required.
	Escape func(string) string

	// Retry says when failed tries are repeated if their route does not say so; zero
	// is [job.DefaultRetry].
	Retry job.RetryPolicy

	// Timeout is how long one try may take, from the name lookup to the end of the
	// answer, if its route does not say; zero is [job.DefaultTimeout]. The hold on the
	// fire is renewed each second meanwhile, so a fire need not wait that long when
	// its worker dies.
	Timeout time.Duration

	// Concurrency is how many tries of one route may be under way at once, if the
	// route does not say; zero is [job.DefaultConcurrency].
	Concurrency int

	// DenyPrivate refuses to connect to addresses that are not public; see
	// [Config.Allow]. Some addresses are always refused, such as the metadata services
	// of clouds.
	DenyPrivate bool

	// Allow lists the exceptions to DenyPrivate.
	Allow []netip.Prefix

	// Resolver looks up the names in webhook URLs; nil is the system's resolver.
	Resolver *net.Resolver

	// RootCAs are the authorities trusted for receivers' certificates; nil uses the
	// system's.
	RootCAs *x509.CertPool

	// ConnectionAge is the longest time that a connection is used, so that a name that
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

	// Version goes to receivers in User-Agent; empty is "dev".
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
