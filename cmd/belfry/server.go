package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"belfry/internal/loglimit"
	"belfry/internal/metrics"
)

// Server is one running Belfry: the HTTP API, the timer, the delivery and, unless it
// uses an external server, an embedded nats-server. Several can run in one process, each
// on its own data folder.
//
// A Server runs once: [New], [Server.Start], [Server.Stop]. Its methods are
// safe for concurrent use.
type Server struct {
	cfg    Config
	log    *slog.Logger
	failed chan error
	hurry  atomic.Bool // no write works, so work in flight cannot finish

	flushLog func() // logs which lines were left out

	// mu is held through Start and Stop, so that each sees the other's work
	// whole.
	mu      sync.Mutex
	started bool
	stopped bool
	undo    []step // how Stop undoes what Start did, last first

	logDropped func() uint64 // counts the lines of the log that were dropped; nil is nobody

	// ignoresCase checks a folder's disk; a test can replace it.
	ignoresCase     func(folder string) (bool, error)
	diskIgnoresCase bool // of the data folder; set by start

	disk      *dataDisk // of the embedded server, nil for others; set by start
	dataEvery time.Duration

	syncAlways bool          // of the embedded server; set by start
	storeLimit int64         // the embedded server's configured limit; otherwise it comes from the free space
	usersApart bool          // the embedded server has an account for its users; set by start
	natsCounts *metrics.NATS // set by start

	inboxes inboxes

	// addrs guards the answers of Addr, NATSURL and /readyz. It is apart from mu, so
	// that nobody who asks waits for a start.
	addrs     sync.Mutex
	addr      string
	adminAddr string
	natsURL   string
	starting  string // the current step of the start
	lost      error  // what happened to the data folder, if it is lost
	full      error  // why the data folder takes no writes, if it was tried
}

// New returns a server that is not started yet. [Server.Start] checks the configuration.
// The log is bounded, whatever happens outside.
func New(cfg Config, log *slog.Logger) *Server {
	bounded := loglimit.New(log.Handler())
	return &Server{
		cfg: cfg.withDefaults(), log: slog.New(bounded), flushLog: bounded.Flush, failed: make(chan error, 1), ignoresCase: ignoresCase,
		dataEvery: dataEvery,
	}
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

// Failed delivers the error of the first part that ended by itself. The remaining parts
// are not worth running: stop the server, and let a new start recover.
func (s *Server) Failed() <-chan error { return s.failed }

var (
	errStarted = errors.New("the server was started before")
	errStopped = errors.New("the server was stopped")
)

// Start brings the server up and returns when it takes requests; /readyz says when it
// fires. ctx bounds the start, not the running. Start refuses what cannot work before it
// touches the data, and a Start that fails leaves nothing behind.
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
		return endedBy(err, s.takeBack(context.WithoutCancel(ctx)))
	}
	s.log.Info("belfry is listening", "api", s.scheme()+"://"+s.Addr(), "nats", s.NATSURL(), "data", s.dataPlace(), "version", version)
	return nil
}

// Stop undoes Start in reverse order: no new requests, no new fires, fires in flight are
// delivered, and the store closes last. It takes at most 28 seconds, less if ctx ends
// sooner, and joins the errors of all parts. A second Stop, or one without a Start, does
// nothing; Start cannot be called after it.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if len(s.undo) == 0 {
		return nil
	}
	s.log.Info("belfry is stopping")
	err := s.takeBack(ctx)
	s.flushLog()
	s.log.Info("belfry has stopped")
	return err
}

func (s *Server) scheme() string {
	if s.cfg.TLSCert != "" {
		return "https"
	}
	return "http"
}

// dataPlace tells people where the data is.
func (s *Server) dataPlace() string {
	if !s.cfg.embedded() {
		return "on " + s.otherServer()
	}
	if abs, err := filepath.Abs(s.cfg.Data); err == nil {
		return abs
	}
	return s.cfg.Data
}
