package streams

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
)

// Store is Belfry's state on one JetStream. It is safe for concurrent use.
type Store struct {
	cfg Config
	nc  *nats.Conn
	js  jetstream.JetStream

	jobs     *Jobs
	routes   *Routes
	inboxes  *Inboxes
	dead     *deadLetters
	letters  *Letters
	attempts *Attempts
	breakers *Breakers
	rates    *rates
	tokens   *Tokens
	backups  *Backups
	timers   []*timer // by partition
	leases   *leases

	audit audit

	firesLast atomic.Uint64 // the last sequence of FIRES that was looked at

	partitions int // as fixed at the first start
	replicas   int // of the streams
}

// Open makes what is missing on the JetStream behind nc, and returns the store
// on it. The connection stays the caller's.
func Open(ctx context.Context, nc *nats.Conn, cfg Config) (*Store, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("couldn't use JetStream: %w", err)
	}
	s := &Store{cfg: cfg.withDefaults(), nc: nc, js: js}
	if err := s.setup(ctx); err != nil {
		return nil, err
	}
	a, err := newAsker(nc)
	if err != nil {
		return nil, fmt.Errorf("couldn't subscribe to answers: %w", err)
	}
	w := newWriter(nc, a, &committers{js: js, asker: a, sync: s.cfg.SyncAlways, replicated: s.replicas > 1, metrics: s.cfg.Metrics})
	s.inboxes = newInboxes(w, js, s.cfg)
	s.routes = newRoutes(w, js, s.inboxes, s.cfg)
	s.inboxes.routes = s.routes
	s.breakers = newBreakers(w, js, s.cfg, s.gatesChanged)
	s.rates = newRates(w, s.cfg)
	s.routes.breakers, s.routes.rates, s.routes.cache.changed = s.breakers, s.rates, s.gatesChanged
	s.dead = &deadLetters{w: w, now: s.cfg.Now, log: s.cfg.Log, metrics: s.cfg.Metrics}
	s.jobs = &Jobs{js: js, w: w, routes: s.routes.cache, dead: s.dead, cfg: s.cfg, partitions: s.partitions, readTime: readTime}
	for p := range s.partitions {
		s.timers = append(s.timers, newTimer(s, p))
	}
	s.jobs.timers = s.timers
	s.letters = &Letters{js: js, w: w, jobs: s.jobs, cfg: s.cfg, scanTime: scanTime}
	s.attempts = newAttempts(js, w, s.cfg.SyncAlways && s.replicas == 1, s.cfg)
	s.tokens = newTokens(w, js, s.cfg)
	s.backups = newBackups(s)
	s.leases = newLeases(s)
	if s.cfg.OnlyNode {
		return s, s.inboxes.handOutAgain(ctx)
	}
	return s, nil
}

// Jobs returns the jobs.
func (s *Store) Jobs() *Jobs { return s.jobs }

// Routes returns the routes.
func (s *Store) Routes() *Routes { return s.routes }

// RouteCache returns the routes for those who need them often.
func (s *Store) RouteCache() *RouteCache { return s.routes.cache }

// Inboxes returns the inboxes of the routes.
func (s *Store) Inboxes() *Inboxes { return s.inboxes }

// Letters returns the dead letters.
func (s *Store) Letters() *Letters { return s.letters }

// Attempts returns the tries that were made. Its own Run is to end after the
// delivery, whose last tries it writes.
func (s *Store) Attempts() *Attempts { return s.attempts }

// Breakers returns the breakers of the routes.
func (s *Store) Breakers() *Breakers { return s.breakers }

// gatesChanged tells the timers that a gate may be open further, or less.
func (s *Store) gatesChanged() {
	for _, t := range s.timers {
		t.poke()
	}
}

// Tokens returns the bearer tokens. Its own Run is to end after the API.
func (s *Store) Tokens() *Tokens { return s.tokens }

// Backups returns what makes backups and restores them.
func (s *Store) Backups() *Backups { return s.backups }

// Run follows the routes, fires due jobs and buries what subscribers could not
// take, until ctx ends; then it finishes the fires it has begun. Trouble with
// JetStream it waits out. The error is always nil.
func (s *Store) Run(ctx context.Context) error {
	var g sync.WaitGroup
	g.Go(func() { s.routes.cache.follow(ctx) })
	g.Go(func() { s.breakers.follow(ctx) })
	g.Go(func() { s.leases.run(ctx) })
	g.Go(func() { s.buryAdvised(ctx) })
	g.Go(func() { newUnread(s).run(ctx) })
	g.Go(func() { s.runAudit(ctx) })
	g.Go(func() { s.watchFires(ctx) })
	g.Wait()
	return nil
}

// Ready reports whether JetStream answers and the timer is at work. The error
// wraps [job.ErrUnavailable].
func (s *Store) Ready(ctx context.Context) error {
	for _, stream := range []string{jobsStream(0), FiresStream} {
		if _, err := s.js.Stream(ctx, stream); err != nil {
			return fmt.Errorf("%w: stream %s: %v", job.ErrUnavailable, stream, err)
		}
	}
	for _, t := range s.timers {
		if t.holds.any() {
			return errRestoring
		}
	}
	if err := s.audit.ready(); err != nil {
		return err
	}
	return s.leases.ready()
}
