package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"belfry/delivery"
	"belfry/internal/job"
	"belfry/internal/waittest"
)

// store stands for JetStream: it holds inboxes, routes, and the written results.
type store struct {
	t           testing.TB
	concurrency int // of each pool

	visits chan job.Inbox // for Follow to visit

	stir func(job.RouteKey) // as Notify was given
	busy bool               // what Busy says

	mu      sync.Mutex
	changed chan struct{} // closed at the next change
	lastSeq uint64
	routes  map[job.RouteKey]job.Route
	boxes   map[job.RouteKey]*box

	finished []written
	finishes int // calls of Finish
	buried   []written
	acked    []job.Fire
	extended int
	attempts []job.Attempt
	tripped  map[job.RouteKey]time.Time

	// The faults and other unusual behavior.
	standing  func(job.Fire) (job.Standing, job.Record, error)
	finishErr func(call int) error
	buryErr   error
	routeErr  error
	followErr chan error
	moved     bool // the jobs are elsewhere, as standing says
	onRemove  func()
}

// box is an inbox.
type box struct {
	fires   chan job.Handover
	held    int // handed out and not acked
	fetches int
	err     error
	removed bool
	grabbed *job.Handover // handed over although the context of Fetch ended
}

// written is one call of Finish or Bury.
type written struct {
	Fire   job.Fire
	Result job.Result
}

func newStore(t testing.TB) *store {
	return &store{
		t: t, concurrency: 4,
		visits: make(chan job.Inbox), changed: make(chan struct{}),
		routes: make(map[job.RouteKey]job.Route), boxes: make(map[job.RouteKey]*box),
		tripped:   make(map[job.RouteKey]time.Time),
		followErr: make(chan error, 1),
	}
}

// run runs a manager over the store until the test ends or stop is called.
// Stop returns what Run returned.
func (s *store) run(cfg delivery.Config, prepare ...func(*delivery.Manager)) (stop func() error) {
	s.t.Helper()
	cfg.Jobs, cfg.Routes, cfg.Inboxes, cfg.Attempts, cfg.Breakers = s, s, s, s, s
	cfg.Concurrency = s.concurrency
	if cfg.Escape == nil {
		cfg.Escape = func(id string) string { return id }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	m := delivery.New(cfg)
	for _, p := range prepare {
		p(m)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	s.t.Cleanup(func() { stop() })
	return stop
}

// addRoute makes a REST route to url and tells the manager of its inbox.
func (s *store) addRoute(id, url string) job.RouteKey {
	return s.addPolicy(id, url, job.Policy{})
}

// addPolicy is addRoute for a route with a policy, or for a change of one.
func (s *store) addPolicy(id, url string, p job.Policy) job.RouteKey {
	key := job.RouteKey{DB: "db", ID: id}
	s.change(func() { s.routes[key] = job.Route{RouteKey: key, Type: job.REST, WebhookURL: url, Policy: p} })
	s.visit(job.Inbox{RouteKey: key, Type: job.REST, Waiting: true, Concurrency: p.Concurrency})
	return key
}

func (s *store) setURL(key job.RouteKey, url string) {
	s.change(func() { s.routes[key] = job.Route{RouteKey: key, Type: job.REST, WebhookURL: url} })
}

func (s *store) Keep(f job.Fire, a job.Attempt) {
	s.change(func() { s.attempts = append(s.attempts, a) })
}

func (s *store) visit(in job.Inbox) {
	s.change(func() {
		if s.boxes[in.RouteKey] == nil {
			s.boxes[in.RouteKey] = &box{fires: make(chan job.Handover, 1000)}
		}
	})
	s.visits <- in
}

// fire puts a fire into the inbox; change may adjust it first.
func (s *store) fire(key job.RouteKey, change ...func(*job.Handover)) job.Fire {
	h := s.handover(key, change...)
	s.boxes[key].fires <- h
	if stir := get(s, func() func(job.RouteKey) { return s.stir }); stir != nil {
		stir(key)
	}
	return h.Fire
}

func (s *store) handover(key job.RouteKey, change ...func(*job.Handover)) job.Handover {
	var seq uint64
	s.change(func() { s.lastSeq++; seq = s.lastSeq })
	f := job.Fire{
		Arming: job.Arming{
			Job: job.Job{
				Key:     job.Key{DB: key.DB, Collection: "timers", ID: fmt.Sprint("job-", seq)},
				Route:   key.ID,
				Trigger: 1667659342626,
				Meta:    []byte(`{"n":1}`),
			},
			FireID:  fmt.Sprint("fire-", seq),
			Attempt: 1,
		},
		Claim: seq,
		Seq:   seq,
		Times: 1,
	}
	h := job.Handover{Fire: f}
	for _, c := range change {
		c(&h)
	}
	fire := h.Fire
	h.Ack = func() error {
		s.change(func() { s.acked = append(s.acked, fire); s.boxes[key].held-- })
		return nil
	}
	h.Extend = func() error {
		s.change(func() { s.extended++ })
		return nil
	}
	return h
}

func (s *store) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// get reads the store under its lock.
func get[T any](s *store, f func() T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f()
}

// await waits until cond, which is called under the store's lock, is true.
func (s *store) await(what string, cond func() bool) {
	s.t.Helper()
	limit := time.After(waittest.Patience)
	for {
		s.mu.Lock()
		ok, changed := cond(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit:
			s.t.Fatalf("after %v there is still not %s", waittest.Patience, what)
		}
	}
}

// awaitResult waits for the n-th written result and returns it.
func (s *store) awaitResult(n int) job.Result {
	s.t.Helper()
	s.await(fmt.Sprintf("result number %d", n), func() bool { return len(s.finished) >= n })
	return get(s, func() job.Result { return s.finished[n-1].Result })
}

func (s *store) awaitAcks(n int) {
	s.t.Helper()
	s.await(fmt.Sprintf("%d acks", n), func() bool { return len(s.acked) >= n })
}

func (s *store) acks() int { return get(s, func() int { return len(s.acked) }) }

func (s *store) Standing(_ context.Context, f job.Fire) (job.Standing, job.Record, error) {
	if s.standing != nil {
		return s.standing(f)
	}
	return job.Valid, job.Record{}, nil
}

func (s *store) Finish(_ context.Context, f job.Fire, res job.Result) error {
	var err error
	s.change(func() {
		s.finishes++
		if s.finishErr != nil {
			err = s.finishErr(s.finishes)
		}
		if err == nil {
			s.finished = append(s.finished, written{f, res})
		}
	})
	return err
}

func (s *store) Bury(_ context.Context, f job.Fire, res job.Result) error {
	var err error
	s.change(func() {
		if err = s.buryErr; err == nil {
			s.buried = append(s.buried, written{f, res})
		}
	})
	return err
}

func (s *store) Get(_ context.Context, key job.RouteKey) (job.Route, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.routeErr != nil {
		return job.Route{}, s.routeErr
	}
	r, ok := s.routes[key]
	if !ok {
		return job.Route{}, job.ErrRouteNotFound
	}
	return r, nil
}

func (s *store) Follow(ctx context.Context, visit func(job.Inbox)) error {
	for {
		select {
		case in := <-s.visits:
			visit(in)
		case err := <-s.followErr:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *store) Notify(stir func(job.RouteKey)) (off func()) {
	s.change(func() { s.stir = stir })
	return func() { s.change(func() { s.stir = nil }) }
}

func (s *store) Busy(job.RouteKey) bool { return get(s, func() bool { return s.busy }) }

func (s *store) Fetch(ctx context.Context, key job.RouteKey, max int, wait time.Duration, take func(job.Handover)) error {
	b := get(s, func() *box { return s.boxes[key] })
	var err error
	s.change(func() {
		b.fetches++
		err = b.err
		if max < 1 || max > s.concurrency {
			s.t.Errorf("a fetch asks for %d fires, want at most %d", max, s.concurrency)
		}
	})
	if err != nil {
		return err
	}
	limit := time.NewTimer(wait)
	defer limit.Stop()
	for range max {
		select {
		case h := <-b.fires:
			s.change(func() { b.held++ })
			take(h)
		case <-limit.C:
			return nil
		case <-ctx.Done():
			if h := get(s, func() *job.Handover { return b.grabbed }); h != nil {
				take(*h)
			}
			return nil
		}
	}
	return nil
}

func (s *store) Settled(_ context.Context, key job.RouteKey) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[key]
	return b.removed || len(b.fires) == 0 && b.held == 0, nil
}

func (s *store) Remove(_ context.Context, key job.RouteKey) error {
	if s.onRemove != nil {
		s.onRemove()
	}
	s.change(func() { s.boxes[key].removed = true })
	return nil
}

var errBroken = errors.New("broken")
