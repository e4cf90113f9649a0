package routes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/contract"
	"belfry/internal/job"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// Routes are the records of all routes, one key each in their bucket. Each change is one
// compare-and-set, and an inbox is created before its route. The errors are the job
// package's. It is safe for concurrent use.
type Routes struct {
	w       *journal.Writer
	js      jetstream.JetStream
	Inboxes *Inboxes
	cfg     Config
	Cache   *Cache

	Breakers *Breakers
	Rates    *Rates

	// changing holds a token while a route changes. Only one change runs at a time, so
	// that an inbox is not removed between its creation and its route's.
	changing chan struct{}
}

// DeletedFor is how long the deletion marker of a route is kept, for watchers that were
// away.
const DeletedFor = 24 * time.Hour

// New returns the routes with their gates and inboxes. The workers' inboxes use the
// connection work; everything else uses the timer's own.
func New(own, work journal.Access, partitions int, cfg Config) *Routes {
	r := &Routes{w: own.W, js: own.JS, cfg: cfg, changing: make(chan struct{}, 1)}
	r.Cache = newRouteCache(r, cfg.Changed)
	r.Inboxes = newInboxes(work, r, cfg)
	r.Breakers = newBreakers(own.W, own.JS, cfg, cfg.Changed)
	r.Rates = newRates(own.W, cfg, partitions)
	return r
}

// On returns the same routes over another connection.
func (s *Routes) On(by journal.Access) *Routes {
	other := *s
	other.w, other.js = by.W, by.JS
	return &other
}

// Cached is [Cache.Get], except that it looks up unknown routes over s's connection.
func (s *Routes) Cached(ctx context.Context, k job.RouteKey) (job.Route, error) {
	return s.Cache.get(ctx, k, s)
}

// Get returns the route as the leader has it. A first "not found" may come from a server
// that was the leader before it slept. So Get asks again after it has confirmed that the
// leader is in touch with the others.
func (s *Routes) Get(ctx context.Context, k job.RouteKey) (job.Route, error) {
	for again := false; ; again = true {
		r, err := s.read(ctx, k)
		if again || !errors.Is(err, job.ErrRouteNotFound) {
			return r, err
		}
		if err := journal.ConfirmLeader(ctx, s.js, s.cfg.Names.RoutesStream()); err != nil {
			return job.Route{}, err
		}
	}
}

// read returns the route as the server that answers for the leader has it. If there is
// none, or the value is not a route ([job.ErrNotARoute]), the Revision is what to
// overwrite.
func (s *Routes) read(ctx context.Context, k job.RouteKey) (job.Route, error) {
	m, found, err := s.w.LastOnLeader(ctx, s.cfg.Names.RoutesStream(), s.cfg.Names.RouteSubject(k))
	if err != nil {
		return job.Route{}, err
	}
	if !found || wire.IsMarker(m.Header) {
		return job.Route{RouteKey: k, Revision: m.Seq}, fmt.Errorf("%w: %q in db %q", job.ErrRouteNotFound, k.ID, k.DB)
	}
	r, err := s.Decode(k, m.Seq, m.Data)
	if err != nil {
		return job.Route{RouteKey: k, Revision: m.Seq}, err
	}
	r.Breaker = s.Breakers.state(k)
	return r, nil
}

// List returns a page of the routes of a db, a moment behind changes made by
// other processes.
func (s *Routes) List(ctx context.Context, q job.RouteQuery) (job.RoutePage, error) {
	if err := s.Cache.Wait(ctx); err != nil {
		return job.RoutePage{}, journal.Unavailable("couldn't look at the routes", err)
	}
	limit := cmp.Or(q.Limit, job.DefaultJobs)
	all := s.Cache.list(q.DB, q.After, limit)
	more := len(all) > limit
	all = all[:min(len(all), limit)]
	for i := range all {
		all[i].Breaker = s.Breakers.state(all[i].RouteKey)
	}
	return job.RoutePage{Routes: all, More: more}, nil
}

func (s *Routes) Decode(k job.RouteKey, seq uint64, data []byte) (job.Route, error) {
	r, err := contract.ParseStoredRoute(data, k)
	if err != nil {
		return r, fmt.Errorf("%w: key %s of bucket %s: %v; DELETE removes it, POST and PUT replace it", job.ErrNotARoute, wire.RouteToken(k), s.cfg.Names.RoutesBucket(), err)
	}
	r.Revision = seq
	if r.Type == job.NATS {
		r.Subscription = s.Inboxes.subscription(k)
	}
	return r, nil
}

// Create stores a new route. Creating it again with the same content does nothing, even
// if the route has got a secret since. Other content is refused with
// [job.ErrRouteExists].
func (s *Routes) Create(ctx context.Context, r job.Route) error {
	return s.Change(ctx, r.RouteKey, func(old job.Route, found error) (*nats.Msg, error) {
		next, err := r.Over(old)
		switch {
		case err != nil:
			return nil, err
		case found == nil && old.SameContent(next):
			return nil, nil
		case found == nil:
			return nil, fmt.Errorf("%w: %q in db %q has another %s; PUT changes it", job.ErrRouteExists, r.ID, r.DB, contract.RouteDifference(old, next))
		}
		isNew := errors.Is(found, job.ErrRouteNotFound) // otherwise a route may have been there
		if err := s.Inboxes.Ensure(ctx, next, isNew); err != nil {
			return nil, err
		}
		return RouteMessage(s.cfg.Names, next), nil
	})
}

// Replace changes a route. Its type stays, and so do the hidden fields that the change
// does not set. Tries that begin after it returns use the new route. If expect is not 0,
// only that revision is changed, and another is refused with [job.ErrRevision], unless
// the route already has the requested content. A value that is not a route is replaced,
// too.
func (s *Routes) Replace(ctx context.Context, r job.Route, expect uint64) error {
	return s.Change(ctx, r.RouteKey, func(old job.Route, found error) (*nats.Msg, error) {
		switch {
		case errors.Is(found, job.ErrRouteNotFound):
			return nil, found
		case found == nil && old.Type != r.Type:
			return nil, fmt.Errorf("%w: it is %s, not %s", job.ErrRouteTypeFixed, old.Type, r.Type)
		}
		next, err := r.Over(old)
		if err != nil {
			return nil, err
		}
		if expect != 0 && old.Revision != expect && !old.SameContent(next) {
			return nil, job.OtherRevision(old.Revision, expect)
		}
		// Even for an unchanged route: the last change may have ended halfway.
		if err := s.Inboxes.Ensure(ctx, next, HadInbox); err != nil || old.SameContent(next) {
			return nil, err
		}
		return RouteMessage(s.cfg.Names, next), nil
	})
}

// Pause keeps the jobs of the route from firing until the given time, in unix
// milliseconds, or until Resume if it is 0.
func (s *Routes) Pause(ctx context.Context, k job.RouteKey, until int64) error {
	return s.pause(ctx, k, until == 0, until)
}

// Resume ends a pause. Jobs that came due meanwhile fire in due order.
func (s *Routes) Resume(ctx context.Context, k job.RouteKey) error {
	return s.pause(ctx, k, false, 0)
}

func (s *Routes) pause(ctx context.Context, k job.RouteKey, paused bool, until int64) error {
	return s.Change(ctx, k, func(old job.Route, found error) (*nats.Msg, error) {
		if found != nil {
			return nil, found
		}
		next := old
		next.Paused, next.PausedUntil = paused, until
		if old.SameContent(next) {
			return nil, nil
		}
		return RouteMessage(s.cfg.Names, next), nil
	})
}

// Rotate gives the route a new secret and returns it; see [job.Route.Rotate].
func (s *Routes) Rotate(ctx context.Context, k job.RouteKey, secret string, grace time.Duration) (job.Route, error) {
	var next job.Route
	err := s.Change(ctx, k, func(old job.Route, found error) (_ *nats.Msg, err error) {
		if found != nil {
			return nil, found
		}
		if next, err = old.Rotate(secret, grace, s.cfg.Now()); err != nil || old.SameContent(next) {
			return nil, err
		}
		return RouteMessage(s.cfg.Names, next), nil
	})
	return next, err
}

// Delete removes the route's record. Its pending jobs die when they come due, and the
// fires left in its inbox go to DEAD. expect is as in [Routes.Replace]. A value that is
// not a route is removed, too.
func (s *Routes) Delete(ctx context.Context, k job.RouteKey, expect uint64) error {
	return s.Change(ctx, k, func(old job.Route, found error) (*nats.Msg, error) {
		switch {
		case errors.Is(found, job.ErrRouteNotFound):
			return nil, found
		case expect != 0 && old.Revision != expect:
			return nil, job.OtherRevision(old.Revision, expect)
		}
		return wire.PurgeMarker(s.cfg.Names.RouteSubject(k), DeletedFor), nil
	})
}

func RouteMessage(n wire.Names, r job.Route) *nats.Msg {
	return &nats.Msg{Subject: n.RouteSubject(r.RouteKey), Header: nats.Header{}, Data: contract.AppendRoute(nil, r)}
}

// Change overwrites the route with the message that next returns. It repeats while other
// writes come between or the answer is missing: a route's content tells whether the
// change was applied. A nil message means that nothing is to be done. found is nil,
// [job.ErrRouteNotFound] or [job.ErrNotARoute].
func (s *Routes) Change(ctx context.Context, k job.RouteKey, next func(old job.Route, found error) (*nats.Msg, error)) error {
	asked := false // an earlier send has no trusted answer
	err := s.Exclusively(ctx, func() error { return s.tryChange(ctx, k, next, &asked) })
	if asked && errors.Is(err, job.ErrUnavailable) {
		return fmt.Errorf("%w: %v", job.ErrUnknownOutcome, err)
	}
	return err
}

func (s *Routes) tryChange(ctx context.Context, k job.RouteKey, next func(old job.Route, found error) (*nats.Msg, error), sent *bool) error {
	pause := journal.NewBackOff(10*time.Millisecond, time.Second)
	sure := false // whether "not found" is confirmed; a create over a route is refused
	for {
		old, found := s.read(ctx, k)
		exists := !errors.Is(found, job.ErrRouteNotFound)
		if found != nil && exists && !errors.Is(found, job.ErrNotARoute) {
			return found
		}
		m, err := next(old, found)
		if errors.Is(err, job.ErrRouteNotFound) && !sure {
			if err := journal.ConfirmLeader(ctx, s.js, s.cfg.Names.RoutesStream()); err != nil {
				return err
			}
			sure = true
			continue
		}
		if *sent && !exists && errors.Is(err, job.ErrRouteNotFound) {
			return nil // our own delete, whose answer was lost
		}
		if err != nil || m == nil {
			return err
		}
		m.Header[wire.HeaderExpectSubjectSeq] = []string{wire.FormatUint(old.Revision)}
		seq, err := s.w.Send(ctx, m)
		switch {
		case err == nil && wire.IsMarker(m.Header):
			s.Cache.Drop(k, seq)
			return nil
		case err == nil:
			r, err := s.Decode(k, seq, m.Data)
			s.Cache.set(r)
			return err
		case errors.Is(err, journal.ErrNoAnswer), errors.Is(err, journal.ErrConflict):
			// A refused write may be stored, too: a leader that was cut off refuses what
			// the new leader accepts.
			*sent = true
			if !journal.Sleep(ctx, pause.NextBackOff()) {
				return fmt.Errorf("%w: the store did not answer in time", job.ErrUnknownOutcome)
			}
		default:
			return err
		}
	}
}

// Exclusively calls do while no route changes.
func (s *Routes) Exclusively(ctx context.Context, do func() error) error {
	select {
	case s.changing <- struct{}{}:
		defer func() { <-s.changing }()
		return do()
	case <-ctx.Done():
		return fmt.Errorf("%w: other changes of routes take too long: %v", job.ErrUnavailable, ctx.Err())
	}
}

// watch calls visit for every existing route, then once with a nil route, then for every
// change, until ctx ends. It makes one call at a time. found is [job.ErrRouteNotFound]
// for a deleted route, and [job.ErrNotARoute] for a value that is not a route. After an
// error the watch begins again from the start.
func (s *Routes) watch(ctx context.Context, visit func(r *job.Route, found error)) {
	journal.WatchKeys(ctx, s.js, s.cfg.Log, s.cfg.Metrics.Panicked, s.cfg.Names.RoutesBucket(), ">", func(e jetstream.KeyValueEntry) { s.see(e, visit) })
}

// see hands one entry of the watch to visit, if its key is a route's key.
func (s *Routes) see(e jetstream.KeyValueEntry, visit func(r *job.Route, found error)) {
	if e == nil {
		visit(nil, nil)
		return
	}
	if e.Key() == wire.ProbeKey {
		return
	}
	k, err := wire.ParseRouteToken(e.Key())
	if err != nil {
		s.cfg.Log.Warn("key in the routes bucket is no route", "error", err)
		return
	}
	if e.Operation() != jetstream.KeyValuePut {
		visit(&job.Route{RouteKey: k, Revision: e.Revision()}, job.ErrRouteNotFound)
		return
	}
	r, err := s.Decode(k, e.Revision(), e.Value())
	if err != nil {
		visit(&job.Route{RouteKey: k, Revision: e.Revision()}, err)
		return
	}
	visit(&r, nil)
}
