package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime/debug"
	"time"

	"belfry/api"
	"belfry/api/service"
	"belfry/delivery"
	"belfry/internal/metrics"
	"belfry/internal/tracing"
	"belfry/streams"
	"belfry/streams/setup"
	"belfry/streams/wire"
)

// start brings up one part after the other. It finds out what cannot work before NATS
// comes up, which touches the data.
func (s *Server) start(ctx context.Context) error {
	if err := s.cfg.check(ctx); err != nil {
		return mistake{err}
	}
	s.startIs("the data is read")
	natsUp, err := s.chooseNATS(ctx)
	if err != nil {
		return mistake{err}
	}
	front, err := s.openFront(ctx)
	if err != nil {
		return err
	}
	told, err := s.startTelemetry(ctx)
	if err != nil {
		return err
	}
	s.natsCounts = told.counts.NATS
	dial, err := natsUp(ctx)
	if err != nil {
		return err
	}
	memory := newMemory(s.cfg, told.counts.Memory, s.log)
	store, err := s.openStore(ctx, dial, memory, told.counts.Streams)
	if err != nil {
		return err
	}
	if s.cfg.AuthenticationOff {
		if err := store.Tokens().TurnOff(ctx); err != nil {
			return fmt.Errorf("--authentication-off: %w", err)
		}
	}
	// Attempts are written until the last try is over.
	s.spawn("attempts", attemptsLimit, store.Attempts().Run)
	// Delivery starts before the timer so that Stop ends the timer first: no
	// new fires while the last ones are delivered.
	s.startDelivery(store, told)
	s.spawn("timer", timerLimit, store.Run)
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		s.spawn("watch of the memory", stopLimit, newPressure(limit, memory.jobs).run)
	}
	s.spawn("tokens", stopLimit, store.Tokens().Run)
	s.awaitTokens(ctx, store)
	ops := api.Operations{Jobs: store.Jobs(), Routes: store.Routes(), MaxMeta: s.cfg.MaxMeta}
	s.serveAPI(ctx, front, ops, store, memory, told)
	return s.serveNATS(ctx, dial, service.Config{
		Operations: ops,
		Name:       s.cfg.names().Service(service.Name),
		Prefix:     s.cfg.names().Subject(""),
		OwnInbox:   s.inboxes.own,
		Memory:     memory.requests,
		Unescape:   wire.Unescape,
		Version:    version,
		Metrics:    told.counts.API,
		Tracer:     told.tracer,
		Log:        s.log,
	})
}

// telemetry is where the parts report, beside the log.
type telemetry struct {
	counts *metrics.Metrics
	scrape http.Handler
	tracer *tracing.Tracer // nil without traces
}

// startTelemetry also serves administrators: they can look at a start that takes long.
func (s *Server) startTelemetry(ctx context.Context) (telemetry, error) {
	counts := metrics.New(thisBuild())
	if s.logDropped != nil {
		counts.Log.CountDropped(s.logDropped)
	}
	scrape := counts.Handler(s.log)
	if err := s.serveAdmin(scrape); err != nil {
		return telemetry{}, err
	}
	tracer := tracing.FromEnv(ctx, version, s.log)
	if tracer != nil {
		s.onStop("traces", tracesLimit, tracer.Shutdown)
	}
	return telemetry{counts, scrape, tracer}, nil
}

// openStore opens the store. Each use that must not wait for another gets a connection
// of its own.
func (s *Server) openStore(ctx context.Context, dial dial, memory memory, counts *metrics.Streams) (*streams.Store, error) {
	nc, err := dial(storeConn)
	if err != nil {
		return nil, err
	}
	workers, err := dial(workersConn)
	if err != nil {
		return nil, err
	}
	requests, err := dial(requestsConn)
	if err != nil {
		return nil, err
	}
	partitions, replicas := s.spread()
	cfg := streams.Config{
		Names:       s.cfg.names(),
		Partitions:  partitions,
		Replicas:    replicas,
		MaxMeta:     s.cfg.MaxMeta,
		MaxBytes:    s.cfg.MaxBytes,
		NotReady:    func(why error) { s.startIs("JetStream is not ready: " + why.Error()) },
		HistoryTTL:  s.cfg.HistoryTTL,
		FiresMaxAge: s.cfg.FiresMaxAge,
		DeadMaxAge:  s.cfg.DeadMaxAge,
		OnlyNode:    s.cfg.embedded(),
		SyncAlways:  s.syncAlways,
		Conns:       streams.Conns{Workers: workers, Requests: requests},
		Reads:       memory.reads,
		InFlight:    memory.jobs,

		Authenticated:   s.cfg.AdminToken != "" || s.cfg.AdminTokenFile != "",
		DiskIgnoresCase: s.diskIgnoresCase,

		Metrics: counts,
		Log:     s.log,
	}
	if s.usersApart {
		cfg.SubscriberAPI, cfg.MaxPullWait = s.cfg.names().SubscriberAPI(), maxPullWait
	}
	store, err := streams.Open(ctx, nc, s.keeping(cfg))
	if errors.Is(err, setup.ErrMaxBytesRequired) {
		return nil, mistake{fmt.Errorf("couldn't open the store: %w; say with --max-bytes how much of it Belfry gets, as in --max-bytes 10GiB", err)}
	}
	if err != nil {
		return nil, fmt.Errorf("couldn't open the store: %w", err)
	}
	return store, s.keep(ctx, store)
}

// spread returns the partitions and replicas to ask for. With 0 replicas the number
// follows from the server's cluster.
func (s *Server) spread() (partitions, replicas int) {
	partitions, replicas = 8, s.cfg.Replicas
	if s.cfg.embedded() {
		partitions, replicas = 1, max(replicas, 1)
	}
	if s.cfg.Partitions > 0 {
		partitions = s.cfg.Partitions
	}
	return partitions, replicas
}

func (s *Server) startDelivery(store *streams.Store, told telemetry) {
	allow, _ := prefixes(s.cfg.WebhookAllow) // checked before
	s.spawn("delivery", deliveryLimit, delivery.New(delivery.Config{
		Jobs:          store.WorkJobs(),
		Routes:        store.RouteCache(),
		Inboxes:       store.Inboxes(),
		Breakers:      store.Breakers(),
		Attempts:      store.Attempts(),
		Retry:         s.cfg.Retry,
		DefaultScheme: s.cfg.WebhookDefaultScheme,
		DenyPrivate:   s.cfg.WebhookDenyPrivate,
		Allow:         allow,
		Grace:         deliveryGrace,
		Escape:        wire.Escape,
		Version:       version,
		Metrics:       told.counts.Delivery,
		Tracer:        told.tracer,
		Log:           s.log,
	}).Run)
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
	s.onStop("NATS service", serviceLimit, served.Stop)
	return nil
}
