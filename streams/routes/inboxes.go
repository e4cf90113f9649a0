package routes

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/panics"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// Inboxes are the durable consumers of the routes. Each route has one, on its literal
// subject in FIRES. Workers fetch from the inboxes of REST routes; the inboxes of NATS
// routes are for their subscribers. An inbox is created before its route and outlives it
// until its remaining fires have gone to DEAD. It is safe for concurrent use.
type Inboxes struct {
	nc     *nats.Conn
	JS     jetstream.JetStream
	cfg    Config
	Routes *Routes

	// stir is called with each route that may have something to fetch; nil calls nobody.
	stir atomic.Pointer[func(job.RouteKey)]

	Floors *floors

	large sync.Map // job.RouteKey to pullSize, if not smallPulls; without deleted routes

	mu      sync.Mutex        // guards pullers
	pullers []*journal.Puller // idle ones, at most idlePullers
}

// idlePullers is how many pullers are kept for the next fetches. Each keeps buffers for
// everything that it may get at once.
const idlePullers = 64

func newInboxes(by journal.Access, r *Routes, cfg Config) *Inboxes {
	return &Inboxes{nc: by.NC, JS: by.JS, Routes: r, cfg: cfg, Floors: &floors{w: by.W}}
}

// Subscription names what a plain NATS client needs to read the inbox.
func (in *Inboxes) subscription(k job.RouteKey) job.Subscription {
	return job.Subscription{Stream: in.cfg.Names.FiresStream(), Subject: in.cfg.Names.FireSubject(k), Consumer: wire.InboxConsumer(k), APIPrefix: in.cfg.SubscriberAPI}
}

// workerAckWait is how long a worker may be silent about a fire before the fire is
// redelivered. Workers extend it each second.
const workerAckWait = 3 * time.Second

func (in *Inboxes) config(r job.Route) jetstream.ConsumerConfig {
	cfg := jetstream.ConsumerConfig{
		Durable:       wire.InboxConsumer(r.RouteKey),
		FilterSubject: in.cfg.Names.FireSubject(r.RouteKey),
		DeliverPolicy: jetstream.DeliverNewPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		Metadata:      map[string]string{wire.MetadataDB: r.DB, wire.MetadataRoute: r.ID, wire.MetadataType: string(r.Type)},
	}
	if r.Type == job.NATS {
		cfg.MaxRequestExpires = in.cfg.MaxPullWait
		cfg.AckWait = cmp.Or(r.AckWait, in.cfg.NativeAckWait)
		// At least as many as BackOff has waits: the server refuses fewer.
		cfg.MaxDeliver = cmp.Or(r.MaxDeliver, max(in.cfg.NativeMaxDeliver, len(r.BackOff)))
		if len(r.BackOff) > 0 {
			cfg.BackOff = r.BackOff
			cfg.AckWait = r.BackOff[0] // the server sets it like this, too
		}
	} else {
		// From the start, so that a lost inbox that is recreated finds its fires. The
		// worker's rule skips those that are over.
		cfg.DeliverPolicy = jetstream.DeliverAllPolicy
		cfg.AckWait = workerAckWait
		cfg.MaxDeliver = -1
		// A route's limit is one limit over all nodes. Without it, each node's free slots
		// are the limit, and a fire that is left unacked on purpose uses none.
		cfg.MaxAckPending = cmp.Or(r.Concurrency, -1)
	}
	return cfg
}

// Fetch hands at most max fires to take as they come. It returns after max fires, when
// wait is over, when there is no more room, or when ctx ends. A fire that was on its way
// by then is still handed out. take must not block.
func (in *Inboxes) Fetch(ctx context.Context, k job.RouteKey, max int, wait time.Duration, take func(job.Handover)) error {
	return in.fetchInRoom(ctx, k, max, wait, take)
}

// fetch pulls once. It returns journal.ErrMaxBytes when the next fire does not fit.
func (in *Inboxes) fetch(ctx context.Context, k job.RouteKey, max, bytes int, wait time.Duration, take func(job.Handover)) error {
	p, err := in.puller()
	if err != nil {
		return journal.Unavailable("couldn't fetch from the inbox of the route", err)
	}
	err = p.Pull(ctx, in.cfg.Names.FiresStream(), wire.InboxConsumer(k), max, bytes, wait, func(m *nats.Msg) {
		defer panics.Recover(in.cfg.Log, "a message of an inbox", in.cfg.Metrics.Panicked)
		h, err := Handover(m)
		if err != nil {
			in.cfg.Log.Warn("message in FIRES dropped", "subject", m.Subject, "error", err)
			_ = m.Term() // otherwise it is redelivered
			return
		}
		take(h)
	})
	switch {
	case err == nil, errors.Is(err, journal.ErrMaxBytes):
		in.idle(p)
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	case errors.Is(err, journal.ErrNoConsumer):
		// Another process may have removed it while the route was created again.
		if r, lost := in.Routes.Cache.Get(ctx, k); lost == nil {
			if err := in.Ensure(ctx, r, HadInbox); err != nil {
				return err
			}
		}
	}
	return journal.Unavailable("couldn't fetch from the inbox of the route", err)
}

// puller returns an idle puller, or a new one.
func (in *Inboxes) puller() (*journal.Puller, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if n := len(in.pullers); n > 0 {
		p := in.pullers[n-1]
		in.pullers = in.pullers[:n-1]
		return p, nil
	}
	return journal.NewPuller(in.nc)
}

func (in *Inboxes) idle(p *journal.Puller) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.pullers) < idlePullers {
		in.pullers = append(in.pullers, p)
		return
	}
	p.Close()
}

func Handover(m *nats.Msg) (job.Handover, error) {
	meta, err := m.Metadata()
	if err != nil {
		return job.Handover{}, err
	}
	f, err := wire.DecodeFire(m.Header, m.Data, meta.Sequence.Stream, meta.Timestamp)
	f.Times = int(meta.NumDelivered)
	return job.Handover{
		Fire:   f,
		Ack:    func() error { return m.Ack() },
		Extend: func() error { return m.InProgress() },
	}, err
}

// Settled reports whether the inbox is empty: nothing waits and nothing is unacked. A
// missing inbox is settled.
func (in *Inboxes) Settled(ctx context.Context, k job.RouteKey) (bool, error) {
	c, err := in.JS.Consumer(ctx, in.cfg.Names.FiresStream(), wire.InboxConsumer(k))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return true, nil
	}
	if err != nil {
		return false, journal.Unavailable("couldn't look into the inbox of the route", err)
	}
	info := c.CachedInfo()
	return info.NumPending == 0 && info.NumAckPending == 0, nil
}

// Remove deletes the inbox of a deleted route, if it is there. If the route exists again,
// its inbox is left alone. If the route was created during the removal and took over the
// old inbox, the inbox is created again.
func (in *Inboxes) Remove(ctx context.Context, k job.RouteKey) error {
	return in.Routes.Exclusively(ctx, func() error {
		switch _, err := in.Routes.Get(ctx, k); {
		case err == nil:
			return nil
		case !errors.Is(err, job.ErrRouteNotFound):
			return err
		}
		in.large.Delete(k)
		c, err := in.JS.Consumer(ctx, in.cfg.Names.FiresStream(), wire.InboxConsumer(k))
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil
		}
		if err == nil {
			in.Saw(c.CachedInfo())
			err = in.JS.DeleteConsumer(ctx, in.cfg.Names.FiresStream(), wire.InboxConsumer(k))
		}
		if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return journal.Unavailable("couldn't delete the inbox of the route", err)
		}
		switch r, err := in.Routes.Get(ctx, k); {
		case err == nil:
			return in.Ensure(ctx, r, HadInbox)
		case !errors.Is(err, job.ErrRouteNotFound):
			return err
		}
		in.Floors.forget(wire.InboxConsumer(k))
		return nil
	})
}

// foundInbox is an inbox as JetStream has it.
type foundInbox struct {
	job.Inbox
	config  jetstream.ConsumerConfig
	unacked bool // some fires are delivered and not acked
}

// list returns all existing inboxes.
func (in *Inboxes) list(ctx context.Context) ([]foundInbox, error) {
	stream, err := in.JS.Stream(ctx, in.cfg.Names.FiresStream())
	if err != nil {
		return nil, journal.Unavailable("couldn't list the inboxes", err)
	}
	var all []foundInbox
	names := stream.ListConsumers(ctx)
	for info := range names.Info() {
		m := info.Config.Metadata
		if m[wire.MetadataType] == "" {
			continue // not Belfry's
		}
		k := job.RouteKey{DB: m[wire.MetadataDB], ID: m[wire.MetadataRoute]}
		unacked := info.NumAckPending > 0
		box := job.Inbox{RouteKey: k, Type: job.RouteType(m[wire.MetadataType]), Waiting: info.NumPending > 0 || unacked}
		all = append(all, foundInbox{box, info.Config, unacked})
	}
	if err := names.Err(); err != nil {
		return nil, journal.Unavailable("couldn't list the inboxes", err)
	}
	return all, nil
}

// HandOutAgain makes the REST inboxes redeliver at once the fires that the last run of
// Belfry took and did not ack, instead of after their ack wait. It must not be called
// while other processes deliver, or once this one does.
func (in *Inboxes) HandOutAgain(ctx context.Context) error {
	boxes, err := in.list(ctx)
	if err != nil {
		return err
	}
	for _, box := range boxes {
		if box.Type != job.REST || !box.unacked {
			continue
		}
		if _, err := in.JS.ResetConsumer(ctx, in.cfg.Names.FiresStream(), wire.InboxConsumer(box.RouteKey)); err != nil {
			return journal.Unavailable("couldn't reset the inbox of a route", err)
		}
	}
	return nil
}

// LimitPulls sets the longest pull of every NATS inbox.
func (in *Inboxes) LimitPulls(ctx context.Context) error {
	stream, err := in.JS.Stream(ctx, in.cfg.Names.FiresStream())
	if err != nil {
		return journal.Unavailable("couldn't list the inboxes", err)
	}
	var behind []jetstream.ConsumerConfig
	consumers := stream.ListConsumers(ctx)
	for info := range consumers.Info() {
		if info.Config.Metadata[wire.MetadataType] == string(job.NATS) && info.Config.MaxRequestExpires != in.cfg.MaxPullWait {
			behind = append(behind, info.Config)
		}
	}
	if err := consumers.Err(); err != nil {
		return journal.Unavailable("couldn't list the inboxes", err)
	}
	for _, cfg := range behind {
		cfg.MaxRequestExpires = in.cfg.MaxPullWait
		if _, err := in.JS.UpdateConsumer(ctx, in.cfg.Names.FiresStream(), cfg); err != nil {
			return journal.Unavailable("couldn't limit the pulls of an inbox", err)
		}
	}
	return nil
}
