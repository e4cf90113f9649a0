package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/api"
	"belfry/api/service"
	"belfry/delivery"
	"belfry/internal/metrics"
	"belfry/internal/tracing"
	"belfry/streams"
)

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
	s.done("API listener", stopLimit, func(context.Context) error {
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
