package routes

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	limits "golang.org/x/time/rate"

	"belfry/internal/job"
	"belfry/streams/due"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// Breakers tracks the endpoints that are down: a breaker that trips on one node shuts the
// gates of its route on all nodes. It is safe for concurrent use.
type Breakers struct {
	w       *journal.Writer
	js      jetstream.JetStream
	cfg     Config
	changed func() // wakes the timers

	loading sync.Once
	loaded  chan struct{} // closed once the breakers tripped by other processes are known

	clocks *limits.Sometimes // limits the log about times too far ahead

	mu      sync.Mutex // guards what follows
	tripped map[job.RouteKey]trippedBreaker
}

type trippedBreaker struct {
	until    time.Time
	revision uint64
}

func newBreakers(w *journal.Writer, js jetstream.JetStream, cfg Config, changed func()) *Breakers {
	return &Breakers{w: w, js: js, cfg: cfg, changed: changed, loaded: make(chan struct{}), clocks: due.NewClockTrouble(), tripped: map[job.RouteKey]trippedBreaker{}}
}

// Tripped reports whether the route's breaker has tripped. Before until nothing is fired
// to the route; after it, one try at a time, until Reset.
func (b *Breakers) Tripped(k job.RouteKey) (until time.Time, tripped bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, tripped := b.tripped[k]
	return b.honest(t.until), tripped
}

// honest returns until, or the zero time if no breaker can have asked for it. With the
// zero time, tries are made one at a time.
func (b *Breakers) honest(until time.Time) time.Time {
	if until.Sub(b.cfg.Now()) > due.HonestBreaker {
		return time.Time{}
	}
	return until
}

// state describes the route's breaker for humans.
func (b *Breakers) state(k job.RouteKey) job.Breaker {
	until, tripped := b.Tripped(k)
	switch {
	case !tripped:
		return job.Breaker{}
	case b.cfg.Now().Before(until):
		return job.Breaker{State: job.BreakerOpen, Until: until.UnixMilli()}
	}
	if until.IsZero() {
		return job.Breaker{State: job.BreakerHalfOpen}
	}
	return job.Breaker{State: job.BreakerHalfOpen, Until: until.UnixMilli()}
}

// Trip shuts the gates of the route until the given time. It returns when the other nodes
// can know; if it fails, only this node knows.
func (b *Breakers) Trip(ctx context.Context, k job.RouteKey, until time.Time) error {
	b.see(k, trippedBreaker{until: until})
	seq, err := b.w.Send(ctx, &nats.Msg{
		Subject: b.cfg.Names.GatesSubject(wire.BreakerKey(k)), Data: strconv.AppendInt(nil, until.UnixMilli(), 10),
	})
	if err != nil {
		return err
	}
	b.see(k, trippedBreaker{until, seq})
	return nil
}

// Reset opens the gates of the route, as Trip shuts them.
func (b *Breakers) Reset(ctx context.Context, k job.RouteKey) error {
	b.forget(k)
	_, err := b.w.Send(ctx, wire.PurgeMarker(b.cfg.Names.GatesSubject(wire.BreakerKey(k)), 0))
	return err
}

func (b *Breakers) see(k job.RouteKey, t trippedBreaker) {
	b.mu.Lock()
	if t.revision >= b.tripped[k].revision || t.revision == 0 {
		b.tripped[k] = t
		b.cfg.Metrics.BreakerTripped(k, b.honest(t.until))
	}
	b.mu.Unlock()
	b.changed()
}

func (b *Breakers) forget(k job.RouteKey) {
	b.mu.Lock()
	delete(b.tripped, k)
	b.cfg.Metrics.BreakerReset(k)
	b.mu.Unlock()
	b.changed()
}

// Wait blocks until the breakers that tripped before are known, or ctx ends.
func (b *Breakers) Wait(ctx context.Context) error {
	select {
	case <-b.loaded:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Follow reads the breakers of other nodes until ctx ends.
func (b *Breakers) Follow(ctx context.Context) {
	journal.WatchKeys(ctx, b.js, b.cfg.Log, b.cfg.Metrics.Panicked, b.cfg.Names.GatesBucket(), wire.BreakerPrefix+">", b.take)
}

func (b *Breakers) take(e jetstream.KeyValueEntry) {
	if e == nil {
		b.loading.Do(func() { close(b.loaded) })
		return
	}
	k, err := wire.ParseBreakerKey(e.Key())
	if err != nil {
		return // not a breaker's key
	}
	until, err := strconv.ParseInt(string(e.Value()), 10, 64)
	if e.Operation() != jetstream.KeyValuePut || err != nil {
		b.forget(k)
		return
	}
	t := trippedBreaker{time.UnixMilli(until), e.Revision()}
	if b.honest(t.until).IsZero() {
		b.clocks.Do(func() {
			b.cfg.Log.Warn(due.TooFarAhead, "bucket", b.cfg.Names.GatesBucket(), "key", e.Key(), "until", t.until.UTC())
		})
	}
	b.see(k, t)
}
