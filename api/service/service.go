// Package service is Belfry as a NATS micro service. It offers [api.Operations] on
// subjects that have the operation, the db and the collection, so that the
// permissions of NATS say who may do what. There is no other access control here.
//
// The bodies of requests and answers are the same as REST's. A refusal
// has micro's headers, Nats-Service-Error with the reason and
// Nats-Service-Error-Code with the HTTP status, and the body {"error","code"}.
// The headers If-Match and traceparent of requests, and ETag and Retry-After of
// answers, are the same as REST's.
//
// All nodes are in one queue group: each request goes to one of them.
package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"belfry/api"
	"belfry/internal/metrics"
	"belfry/internal/room"
	"belfry/internal/tracing"
)

// Name is the service's name, unless [Config] has another.
const Name = "belfry"

const (
	// maxUnderWay is how many requests of one endpoint are worked on at once,
	// so that their writes share the syncs. Others wait, as many as
	// maxPending and maxPendingBytes allow; those beyond are dropped, which
	// nats.go reports.
	maxUnderWay     = 256
	maxPending      = 16 << 10
	maxPendingBytes = 16 << 20
)

// Config is what the service is made of.
type Config struct {
	Operations api.Operations

	// Name is the service's name; empty is [Name].
	Name string

	// Prefix begins the subjects, as in "team1."; empty is none.
	Prefix string

	// OwnInbox reports whether a subject is where this process gets its own answers.
	// No caller may direct an answer there. nil is none.
	OwnInbox func(subject string) bool

	// Unescape reads an id from the subject token that stands for it.
	Unescape func(token string) (id string, err error)

	// Memory bounds what requests hold; nil is no bound.
	Memory *room.Pool

	// Timeout is how long the store may take for one request; 0 means
	// [api.DefaultTimeout].
	Timeout time.Duration

	// Version is Belfry's version. One that is not semantic goes behind a 0.0.0.
	Version string

	// Metrics counts the requests; nil counts none.
	Metrics *metrics.API

	// Tracer makes a span of each request; nil makes none.
	Tracer *tracing.Tracer

	// Log receives one line per answer of 500 and above; nil is
	// [slog.Default]. Bodies are never logged.
	Log *slog.Logger
}

// Service answers requests from [Start] to [Service.Stop].
type Service struct {
	cfg   Config
	nc    *nats.Conn
	micro micro.Service
	stats map[string]*stats // by the endpoint's name

	ctx    context.Context // the requests' context; it ends when Stop gives them up
	giveUp context.CancelFunc

	// mu guards closed, and that nothing is added to underWay once it is set: messages
	// that have arrived are handed on whether the server is there or not.
	mu       sync.Mutex
	closed   bool
	underWay sync.WaitGroup
}

// Start serves on the connection, and returns when requests come. It must be the
// service's own: Stop waits until nothing listens on it. Reconnecting needs
// nothing. ctx, which must have an end, bounds the start only.
func Start(ctx context.Context, nc *nats.Conn, cfg Config) (*Service, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = api.DefaultTimeout
	}
	cfg.Name = cmp.Or(cfg.Name, Name)
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Service{cfg: cfg, nc: nc, stats: map[string]*stats{}}
	for _, e := range endpoints {
		s.stats[e.name] = &stats{}
	}
	s.ctx, s.giveUp = context.WithCancel(context.Background())
	var err error
	s.micro, err = micro.AddService(nc, micro.Config{
		Name:         cfg.Name,
		Version:      semantic(cfg.Version),
		Description:  "a durable timer service: jobs and routes",
		StatsHandler: func(e *micro.Endpoint) any { return s.stats[e.Name].report() },
	})
	if err != nil {
		return nil, fmt.Errorf("couldn't add the service %s: %w", cfg.Name, err)
	}
	for i := range endpoints {
		e := &endpoints[i]
		err := s.micro.AddEndpoint(e.name, s.handler(e), micro.WithEndpointSubject(cfg.Prefix+e.pattern()),
			micro.WithEndpointPendingLimits(maxPending, maxPendingBytes))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("couldn't add the endpoint %s: %w", e.name, err), s.micro.Stop())
		}
	}
	if err := nc.FlushWithContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("couldn't subscribe for the service: %w", err), s.micro.Stop())
	}
	return s, nil
}

// begin reports whether one more request may be worked on; if so, it is under way.
func (s *Service) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.underWay.Add(1)
	return true
}

func (s *Service) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// Stop takes no new requests and returns when the ones that came are answered. If ctx
// ends sooner, they are given up. Without the server, requests that are not yet under
// way are refused.
func (s *Service) Stop(ctx context.Context) error {
	defer s.giveUp()
	if err := s.micro.Stop(); err != nil {
		return err
	}
	// The subscriptions drain, which micro does not wait for. Without the server
	// they cannot.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.nc.IsConnected() && s.nc.NumSubscriptions() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.close()
	idle := make(chan struct{})
	go func() {
		s.underWay.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// semanticVersion is the pattern that https://semver.org suggests and micro requires.
var semanticVersion = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$`)

// semantic makes a semantic version from Belfry's, which may be a commit.
func semantic(version string) string {
	if v := strings.TrimPrefix(version, "v"); semanticVersion.MatchString(v) {
		return v
	}
	build := strings.Map(func(c rune) rune {
		if c < 0x80 && (c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			return c
		}
		return '-'
	}, version)
	if build == "" {
		return "0.0.0"
	}
	return "0.0.0+" + build
}
