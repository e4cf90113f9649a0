package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/api"
	"belfry/api/service"
	"belfry/delivery"
	"belfry/internal/metrics"
	"belfry/internal/tracing"
	"belfry/streams"
)

// Server is one running Belfry: the HTTP API, the timer, the delivery, and,
// unless it uses a server of others, an embedded nats-server. Several can run
// in one process, each on its own data folder.
//
// A Server runs once: [New], [Server.Start], [Server.Stop]. Its methods are
// safe for concurrent use.
type Server struct {
	cfg    Config
	log    *slog.Logger
	failed chan error

	// mu is held through Start and Stop, so that each sees the other's work
	// whole.
	mu      sync.Mutex
	started bool
	stopped bool
	undo    []step // what Start did, as Stop takes it back, last first

	syncAlways bool // of the embedded server; set by start

	// addrs guards what Addr and NATSURL tell, apart from mu, so that nobody
	// who asks waits for a start.
	addrs     sync.Mutex
	addr      string
	adminAddr string
	natsURL   string
}

// step takes back one thing that Start did, within limit.
type step struct {
	name  string
	limit time.Duration
	do    func(context.Context) error
}

// stopLimit bounds [Server.Stop], below the 30 s that service managers grant.
// The parts that wait for others get a share of it each, 27 s together, so that
// the store is left time to close.
const (
	stopLimit     = 28 * time.Second
	serviceLimit  = 2 * time.Second  // requests under way over NATS
	httpLimit     = 2 * time.Second  // and over HTTP
	timerLimit    = 3 * time.Second  // publishes under way
	deliveryGrace = 16 * time.Second // webhooks under way, each of which may take 15 s
	deliveryLimit = deliveryGrace + time.Second
	attemptsLimit = 1500 * time.Millisecond
	flushLimit    = time.Second
	adminLimit    = time.Second // it waits for nobody
	tracesLimit   = 500 * time.Millisecond
)

// New returns a server that is not started yet. The configuration is judged by
// [Server.Start].
func New(cfg Config, log *slog.Logger) *Server {
	return &Server{cfg: cfg.withDefaults(), log: log, failed: make(chan error, 1)}
}

// Addr returns the host:port of the HTTP API, or "" before it listens.
func (s *Server) Addr() string {
	s.addrs.Lock()
	defer s.addrs.Unlock()
	return s.addr
}

// NATSURL returns where NATS clients reach the server in use, without
// credentials, or "" before there is one.
func (s *Server) NATSURL() string {
	s.addrs.Lock()
	defer s.addrs.Unlock()
	return s.natsURL
}

func (s *Server) setPlace(at *string, place string) {
	s.addrs.Lock()
	defer s.addrs.Unlock()
	*at = place
}

// Failed delivers the error of the first part that ended by itself. What is
// left is not worth running: stop the server, and let a new start recover.
func (s *Server) Failed() <-chan error { return s.failed }

var (
	errStarted = errors.New("the server was started before")
	errStopped = errors.New("the server was stopped")
)

// Start brings the server up and returns when it takes requests; /readyz tells
// when it fires. ctx bounds the start, not the running. What cannot work is
// refused before the data is touched, and a Start that fails leaves nothing
// behind.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		return errStopped
	case s.started:
		return errStarted
	}
	s.started = true
	if err := s.start(ctx); err != nil {
		return errors.Join(err, s.takeBack(context.WithoutCancel(ctx)))
	}
	s.log.Info("belfry is listening", "api", s.scheme()+"://"+s.Addr(), "nats", s.NATSURL(), "data", s.dataPlace(), "version", version)
	return nil
}

func (s *Server) start(ctx context.Context) error {
	if err := s.cfg.check(ctx); err != nil {
		return err
	}
	natsUp := s.useNATS
	if s.cfg.embedded() {
		opts, err := natsOptions(ctx, s.cfg)
		if err != nil {
			return err
		}
		natsUp = func(ctx context.Context) (dial, error) { return s.embedNATS(ctx, opts) }
	}
	admin, err := s.cfg.adminToken()
	if err != nil {
		return err
	}
	cert, err := s.certificate()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("couldn't listen for the API (--listen): %w", err)
	}
	s.done("API listener", httpLimit, func(context.Context) error {
		if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil // its HTTP server has closed it
	})
	s.setPlace(&s.addr, listener.Addr().String())
	counts := metrics.New(thisBuild())
	scrape := counts.Handler(s.log)
	if err := s.serveAdmin(scrape); err != nil {
		return err
	}

	tracer, err := tracing.FromEnv(ctx, version, s.log)
	if err != nil {
		return err
	}
	if tracer != nil {
		s.done("traces", tracesLimit, tracer.Shutdown)
	}
	dial, err := natsUp(ctx)
	if err != nil {
		return err
	}
	nc, err := dial(storeConn)
	if err != nil {
		return err
	}
	partitions, replicas := s.spread(nc)
	store, err := streams.Open(ctx, nc, streams.Config{
		Partitions:  partitions,
		Replicas:    replicas,
		HistoryTTL:  s.cfg.HistoryTTL,
		FiresMaxAge: s.cfg.FiresMaxAge,
		DeadMaxAge:  s.cfg.DeadMaxAge,
		OnlyNode:    s.cfg.embedded(),
		SyncAlways:  s.syncAlways,
		Metrics:     counts.Streams,
		Log:         s.log,
	})
	if err != nil {
		return fmt.Errorf("couldn't open the store: %w", err)
	}
	// Attempts are written until the last try is over.
	s.spawn("attempts", attemptsLimit, store.Attempts().Run)
	allow, _ := prefixes(s.cfg.WebhookAllow) // as checked
	// Delivery starts before the timer so that Stop ends the timer first: no
	// new fires while the last ones are delivered.
	s.spawn("delivery", deliveryLimit, delivery.New(delivery.Config{
		Jobs:          store.Jobs(),
		Routes:        store.RouteCache(),
		Inboxes:       store.Inboxes(),
		Breakers:      store.Breakers(),
		Attempts:      store.Attempts(),
		Retry:         s.cfg.Retry,
		DefaultScheme: s.cfg.WebhookDefaultScheme,
		DenyPrivate:   s.cfg.WebhookDenyPrivate,
		Allow:         allow,
		Grace:         deliveryGrace,
		Escape:        streams.Escape,
		Version:       version,
		Metrics:       counts.Delivery,
		Tracer:        tracer,
		Log:           s.log,
	}).Run)
	s.spawn("timer", timerLimit, store.Run)
	s.spawn("tokens", stopLimit, store.Tokens().Run)
	s.awaitTokens(ctx, store)
	loopback := s.loopbackHost(ctx)
	s.warnIfPlain(admin != "" && loopback == "")
	ops := api.Operations{Jobs: store.Jobs(), Routes: store.Routes(), MaxMeta: s.cfg.MaxMeta}
	s.serveHTTP(listener, cert, api.New(api.Config{
		Operations:   ops,
		Letters:      store.Letters(),
		Attempts:     store.Attempts(),
		Tokens:       store.Tokens(),
		Backups:      store.Backups(),
		AdminToken:   admin,
		LoopbackHost: loopback,
		RequestRate:  s.cfg.RequestRate,
		Metrics:      counts.API,
		Tracer:       tracer,
		Scrape:       scrape,
		Log:          s.log,
		Version:      version,
		Ready:        store.Ready,
	}))
	return s.serveNATS(ctx, dial, service.Config{
		Operations: ops,
		Unescape:   streams.Unescape,
		Version:    version,
		Metrics:    counts.API,
		Tracer:     tracer,
		Log:        s.log,
	})
}

// serveNATS serves the NATS service, on a connection of its own.
func (s *Server) serveNATS(ctx context.Context, dial dial, cfg service.Config) error {
	nc, err := dial(serviceConn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, serviceLimit)
	defer cancel()
	served, err := service.Start(ctx, nc, cfg)
	if err != nil {
		return err
	}
	s.done("NATS service", serviceLimit, served.Stop)
	return nil
}

// tokensPatience is how long a start waits for the tokens. Without them requests
// are answered 503, which is better than no start.
const tokensPatience = 5 * time.Second

func (s *Server) awaitTokens(ctx context.Context, store *streams.Store) {
	ctx, cancel := context.WithTimeout(ctx, tokensPatience)
	defer cancel()
	if err := store.Tokens().Wait(ctx); err != nil {
		s.log.Warn("the tokens are not known yet; requests are refused until they are", "error", err)
	}
}

// loopbackHost is the host of --listen if it is a loopback one, else empty.
func (s *Server) loopbackHost(ctx context.Context) string {
	host, _, err := net.SplitHostPort(s.cfg.Listen)
	if err != nil || checkLoopback(ctx, s.cfg.Listen) != nil {
		return ""
	}
	return host
}

// warnIfPlain tells that tokens travel where others may read them.
func (s *Server) warnIfPlain(exposed bool) {
	if exposed && s.cfg.TLSCert == "" {
		s.log.Warn("tokens are sent to the API in the clear: set --tls-cert and --tls-key, unless a proxy in front of it has TLS")
	}
}

// spread returns the partitions and replicas to ask for.
func (s *Server) spread(nc *nats.Conn) (partitions, replicas int) {
	partitions, replicas = 1, 1
	if !s.cfg.embedded() {
		partitions = 8
		if nc.ConnectedClusterName() != "" && len(nc.Servers()) >= 3 {
			replicas = 3
		}
	}
	if s.cfg.Partitions > 0 {
		partitions = s.cfg.Partitions
	}
	if s.cfg.Replicas > 0 {
		replicas = s.cfg.Replicas
	}
	return partitions, replicas
}

// Stop undoes Start in reverse order: no new requests, no new fires, what is
// in flight is delivered, and the store closes last. It takes at most 28
// seconds, less if ctx ends sooner, and joins the errors of all parts. A
// second Stop, or one without a Start, does nothing; no Start comes after it.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if len(s.undo) == 0 {
		return nil
	}
	s.log.Info("belfry is stopping")
	err := s.takeBack(ctx)
	s.log.Info("belfry has stopped")
	return err
}

// done notes how to take back what was just done.
func (s *Server) done(name string, limit time.Duration, undo func(context.Context) error) {
	s.undo = append(s.undo, step{name, limit, undo})
}

func (s *Server) takeBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	var errs []error
	for i := len(s.undo) - 1; i >= 0; i-- {
		step := s.undo[i]
		limited, cancel := context.WithTimeout(ctx, step.limit)
		if err := step.do(limited); err != nil {
			errs = append(errs, fmt.Errorf("couldn't end the %s cleanly: %w", step.name, err))
		}
		cancel()
	}
	s.undo = nil
	return errors.Join(errs...)
}

// spawn runs a part until it is taken back. A part that ends sooner has failed.
func (s *Server) spawn(name string, limit time.Duration, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		err := run(ctx)
		if ctx.Err() == nil {
			s.fail(name, err)
			err = nil // told once
		}
		ended <- err
	}()
	s.done(name, limit, func(limited context.Context) error {
		cancel()
		select {
		case err := <-ended:
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		case <-limited.Done():
			return limited.Err()
		}
	})
}

// fail reports that a part has ended by itself. One is enough to give up; what
// follows from it goes to the log.
func (s *Server) fail(name string, err error) {
	if err == nil {
		err = errors.New("it returned")
	}
	select {
	case s.failed <- fmt.Errorf("the %s ended by itself: %w", name, err):
	default:
		s.log.Error("another part ended by itself", "part", name, "error", err)
	}
}

func (s *Server) scheme() string {
	if s.cfg.TLSCert != "" {
		return "https"
	}
	return "http"
}

// dataPlace says for people where the data is.
func (s *Server) dataPlace() string {
	if !s.cfg.embedded() {
		return "on " + s.otherServer()
	}
	if abs, err := filepath.Abs(s.cfg.Data); err == nil {
		return abs
	}
	return s.cfg.Data
}
