package zoo_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"belfry/delivery"
	"belfry/internal/job"
	"belfry/internal/waittest"
)

// house stands for JetStream, and keeps the result of each fire. Its breakers never
// trip, so that every webhook sent to an animal of the zoo reaches it.
type house struct {
	t testing.TB

	mu       sync.Mutex
	changed  chan struct{} // closed at the next change
	seq      uint64
	routes   map[job.RouteKey]job.Route
	boxes    map[job.RouteKey]chan job.Handover
	results  map[job.RouteKey][]job.Result
	attempts map[job.RouteKey][]job.Attempt
	looks    map[job.RouteKey]int // how often the route was looked up
	stir     func(job.RouteKey)
	visits   chan job.Inbox
}

func newHouse(t testing.TB, cfg delivery.Config) *house {
	t.Helper()
	h := &house{
		t: t, changed: make(chan struct{}), visits: make(chan job.Inbox),
		routes: map[job.RouteKey]job.Route{}, boxes: map[job.RouteKey]chan job.Handover{},
		results: map[job.RouteKey][]job.Result{}, attempts: map[job.RouteKey][]job.Attempt{},
		looks: map[job.RouteKey]int{},
	}
	cfg.Jobs, cfg.Routes, cfg.Inboxes, cfg.Attempts, cfg.Breakers = h, h, h, h, h
	cfg.Escape = func(id string) string { return id }
	cfg.Log = slog.New(slog.DiscardHandler)
	if cfg.Grace == 0 {
		cfg.Grace = time.Millisecond
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = delivery.New(cfg).Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return h
}

func (h *house) route(id, url string, p job.Policy) job.RouteKey {
	key := job.RouteKey{DB: "zoo", ID: id}
	h.change(func() {
		h.routes[key] = job.Route{RouteKey: key, Type: job.REST, WebhookURL: url, Policy: p}
		h.boxes[key] = make(chan job.Handover, 1000)
	})
	h.visits <- job.Inbox{RouteKey: key, Type: job.REST, Concurrency: p.Concurrency, Waiting: true}
	return key
}

// fire hands out one fire with a body of that size.
func (h *house) fire(key job.RouteKey, size int) {
	var seq uint64
	h.change(func() { h.seq++; seq = h.seq })
	meta := make([]byte, size)
	for i := range meta {
		meta[i] = '1'
	}
	id := fmt.Sprint("fire-", seq)
	h.boxes[key] <- job.Handover{
		Fire: job.Fire{
			Arming: job.Arming{
				Job: job.Job{
					Key: job.Key{DB: key.DB, Collection: "c", ID: id}, Route: key.ID,
					Trigger: time.Now().UnixMilli(), Meta: meta,
				},
				FireID: id, Attempt: 1,
			},
			Times: 1, Claim: seq, Seq: seq,
		},
		Ack:    func() error { return nil },
		Extend: func() error { return nil },
	}
	h.mu.Lock()
	stir := h.stir
	h.mu.Unlock()
	if stir != nil {
		stir(key)
	}
}

func (h *house) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.changed)
	h.changed = make(chan struct{})
}

// count returns how many fires of the route have a result.
func (h *house) count(key job.RouteKey) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.results[key])
}

// await waits for n results of a route and returns them with their attempts.
func (h *house) await(key job.RouteKey, n int) ([]job.Result, []job.Attempt) {
	h.t.Helper()
	h.until(fmt.Sprintf("%d results of %s", n, key.ID), func() bool { return len(h.results[key]) >= n })
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.results[key], h.attempts[key]
}

// until waits for a condition, which is called under the lock.
func (h *house) until(what string, cond func() bool) {
	h.t.Helper()
	limit := time.After(waittest.Patience)
	for {
		h.mu.Lock()
		ok, changed := cond(), h.changed
		h.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit:
			h.t.Fatalf("after %v there are not %s", waittest.Patience, what)
		}
	}
}

func (h *house) Standing(_ context.Context, f job.Fire) (job.Standing, job.Record, error) {
	return job.Valid, job.Record{}, nil
}

func (h *house) Finish(_ context.Context, f job.Fire, res job.Result) error {
	h.change(func() { h.results[f.RouteKey()] = append(h.results[f.RouteKey()], res) })
	return nil
}

func (h *house) Bury(context.Context, job.Fire, job.Result) error { return nil }

func (h *house) Keep(f job.Fire, a job.Attempt) {
	h.change(func() { h.attempts[f.RouteKey()] = append(h.attempts[f.RouteKey()], a) })
}

func (h *house) Get(_ context.Context, key job.RouteKey) (job.Route, error) {
	var r job.Route
	ok := false
	h.change(func() { r, ok = h.routes[key]; h.looks[key]++ })
	if !ok {
		return job.Route{}, job.ErrRouteNotFound
	}
	return r, nil
}

func (h *house) Follow(ctx context.Context, visit func(job.Inbox)) error {
	for {
		select {
		case in := <-h.visits:
			visit(in)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (h *house) Notify(stir func(job.RouteKey)) (off func()) {
	h.change(func() { h.stir = stir })
	return func() { h.change(func() { h.stir = nil }) }
}

func (h *house) Busy(job.RouteKey) bool { return false }

func (h *house) Fetch(ctx context.Context, key job.RouteKey, most int, wait time.Duration, take func(job.Handover)) error {
	h.mu.Lock()
	box := h.boxes[key]
	h.mu.Unlock()
	limit := time.NewTimer(wait)
	defer limit.Stop()
	for range most {
		select {
		case f := <-box:
			take(f)
		case <-limit.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func (h *house) Settled(context.Context, job.RouteKey) (bool, error) { return true, nil }
func (h *house) Remove(context.Context, job.RouteKey) error          { return nil }

func (h *house) Tripped(job.RouteKey) (time.Time, bool)              { return time.Time{}, false }
func (h *house) Trip(context.Context, job.RouteKey, time.Time) error { return nil }
func (h *house) Reset(context.Context, job.RouteKey) error           { return nil }
