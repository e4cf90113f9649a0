package streams_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"belfry/internal/job"
	"belfry/internal/natstest"
	"belfry/streams"
	"belfry/streams/journal"
)

// change changes the configuration of a stream, as an operator does.
func (f *fixture) change(stream string, change func(*jetstream.StreamConfig)) {
	f.t.Helper()
	s, err := f.js.Stream(f.t.Context(), stream)
	if err != nil {
		f.t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	change(&cfg)
	if _, err := f.js.UpdateStream(f.t.Context(), cfg); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) config(stream string) jetstream.StreamConfig {
	f.t.Helper()
	s, err := f.js.Stream(f.t.Context(), stream)
	if err != nil {
		f.t.Fatal(err)
	}
	return s.CachedInfo().Config
}

// A server allows 1,000 consumers by default, and each route takes one. Consumers in
// memory are created faster and count the same.
func TestMoreThanAThousandRoutes(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	const routes, allowed = 10, 1000
	stream, err := f.js.Stream(t.Context(), "FIRES")
	if err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	g.SetLimit(32)
	for i := range allowed - routes/2 {
		g.Go(func() error {
			name := fmt.Sprint("other", i)
			_, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: name, FilterSubject: "fires.other." + name, MemoryStorage: true})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for i := range routes {
		f.route(fmt.Sprint("r", i), job.NATS)
	}
	info, err := stream.Info(t.Context())
	if want := allowed + routes/2; err != nil || info.State.Consumers != want {
		t.Errorf("FIRES has %d consumers, %v; want %d", info.State.Consumers, err, want)
	}
}

// An older version's FIRES has no limit of its own, so the server's default counts.
func TestAnOlderStreamGetsTheLimit(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.change("FIRES", func(c *jetstream.StreamConfig) { c.MaxConsumers = -1 })
	f.reopen(streams.Config{FiresMaxAge: 2 * time.Hour})
	if c := f.config("FIRES"); c.MaxConsumers != journal.MaxRoutes || c.MaxAge != 2*time.Hour {
		t.Errorf("FIRES has %d consumers at most and an age of %v, want %d and 2h", c.MaxConsumers, c.MaxAge, journal.MaxRoutes)
	}
	f.change("FIRES", func(c *jetstream.StreamConfig) { c.MaxConsumers = 5000 })
	f.reopen(streams.Config{})
	if c := f.config("FIRES"); c.MaxConsumers != 5000 {
		t.Errorf("the operator's limit of 5000 became %d", c.MaxConsumers)
	}
}

// Permanent refusals by a limit of the server differ from errors that may pass, and name
// the limit.
func TestRefusalsForGood(t *testing.T) {
	t.Parallel()
	newRoute := func(id string, p job.Policy) job.Route {
		return job.Route{RouteKey: job.RouteKey{DB: "db", ID: id}, Type: job.REST, WebhookURL: "http://host/", Policy: p}
	}
	for _, tt := range []struct {
		name  string
		opts  server.Options
		limit func(f *fixture)
		do    func(f *fixture) error
		says  string
	}{
		{
			name:  "routes",
			limit: func(f *fixture) { f.change("FIRES", func(c *jetstream.StreamConfig) { c.MaxConsumers = 1 }) },
			do: func(f *fixture) error {
				if err := f.Routes().Create(f.t.Context(), newRoute("last", job.Policy{})); err != nil {
					return fmt.Errorf("too soon: %v", err)
				}
				return f.Routes().Create(f.t.Context(), newRoute("beyond", job.Policy{}))
			},
			says: "max_consumers",
		},
		{
			name: "concurrency",
			limit: func(f *fixture) {
				f.change("FIRES", func(c *jetstream.StreamConfig) { c.ConsumerLimits.MaxAckPending = 10 })
			},
			do: func(f *fixture) error {
				if err := f.Routes().Create(f.t.Context(), newRoute("fits", job.Policy{Concurrency: 10})); err != nil {
					return fmt.Errorf("too soon: %v", err)
				}
				return f.Routes().Create(f.t.Context(), newRoute("beyond", job.Policy{Concurrency: 11}))
			},
			says: "max_ack_pending",
		},
		{
			name:  "size of a record",
			limit: func(f *fixture) { f.change("KV_jobs_0", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 4096 }) },
			do: func(f *fixture) error {
				f.route("r", job.REST)
				f.create(newJob("fits", "r", time.Now().Add(time.Hour)))
				large := newJob("large", "r", time.Now().Add(time.Hour))
				large.Meta = []byte(`"` + string(bytes.Repeat([]byte("x"), 5000)) + `"`)
				return f.Jobs().Create(f.t.Context(), large)
			},
			says: "max_msg_size",
		},
		{
			name:  "payload",
			opts:  server.Options{MaxPayload: 64 << 10},
			limit: func(*fixture) {},
			do: func(f *fixture) error {
				f.route("r", job.REST)
				large := newJob("large", "r", time.Now().Add(time.Hour))
				large.Meta = []byte(`"` + string(bytes.Repeat([]byte("x"), 100<<10)) + `"`)
				return f.Jobs().Create(f.t.Context(), large)
			},
			says: "max_payload",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := &fixture{t: t, server: natstest.StartWith(t, &tt.opts)}
			f.connect()
			f.reopen(streams.Config{})
			tt.limit(f)
			err := tt.do(f)
			if !errors.Is(err, job.ErrLimit) || !errors.Is(err, job.ErrUnavailable) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("it is refused with %v, want ErrLimit and %q in it", err, tt.says)
			}
		})
	}
	t.Run("storage", func(t *testing.T) {
		t.Parallel()
		f := open(t, streams.Config{})
		f.route("r", job.REST)
		f.change("KV_jobs_0", func(c *jetstream.StreamConfig) { c.MaxBytes = 100 })
		err := f.Jobs().Create(t.Context(), newJob("a", "r", time.Now().Add(time.Hour)))
		if !errors.Is(err, job.ErrUnavailable) || errors.Is(err, job.ErrLimit) {
			t.Errorf("a full store refuses with %v, want ErrUnavailable alone: it may have room again", err)
		}
	})
}
