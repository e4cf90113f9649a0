package delivery

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"belfry/internal/job"
)

// writeGrace is how long results may still be written after a shutdown has cut off the
// last POST.
const writeGrace = 5 * time.Second

// Manager runs a pool of workers for each inbox that needs one: those of REST routes,
// and those of deleted routes.
type Manager struct {
	cfg     Config
	webhook *webhook
}

// New returns a manager that does nothing until it is run.
func New(cfg Config) *Manager {
	cfg = cfg.withDefaults()
	return &Manager{cfg: cfg, webhook: newWebhook(cfg)}
}

// Run delivers until ctx ends, and returns nil then; or until the inboxes
// cannot be followed any more, and returns that error. It stops fetching at
// once, lets the tries under way end within Config.Grace, and cuts off the
// rest, whose fires stay unacked and are handed out again. When it returns,
// nothing of it still runs. It may be called again then, not before.
func (m *Manager) Run(ctx context.Context) error {
	// A try, and the writing of its result, outlive ctx, each for its own bounded
	// time.
	tries, cutTries := context.WithCancel(context.WithoutCancel(ctx))
	defer cutTries()
	writes, cutWrites := context.WithCancel(context.WithoutCancel(ctx))
	defer cutWrites()
	fetching, stopFetching := context.WithCancel(ctx)
	defer stopFetching()

	r := &run{
		worker: &worker{Config: m.cfg, webhook: m.webhook, stopping: fetching, tries: tries, writes: writes},
		pools:  make(map[job.RouteKey]*pool),
	}
	off := m.cfg.Inboxes.Notify(r.stir)
	err := m.cfg.Inboxes.Follow(fetching, func(in job.Inbox) { r.visit(fetching, in) })
	stopped := ctx.Err() != nil

	stopFetching()
	off()
	r.end()
	ended := make(chan struct{})
	go func() { defer close(ended); r.running.Wait() }()
	if !endsWithin(ended, m.cfg.Grace) {
		cutTries()
		if !endsWithin(ended, writeGrace) {
			cutWrites()
			<-ended
		}
	}
	if n := r.worker.cut.Load(); n > 0 {
		m.cfg.Log.Warn("tries were cut off by the shutdown; they will be made again", "tries", n)
	}
	m.webhook.closeIdle()

	if stopped {
		return nil
	}
	return fmt.Errorf("couldn't follow the inboxes of routes: %w", err)
}

func endsWithin(ended <-chan struct{}, d time.Duration) bool {
	limit := time.NewTimer(d)
	defer limit.Stop()
	select {
	case <-ended:
		return true
	case <-limit.C:
		return false
	}
}

// run is the state of one Manager.Run.
type run struct {
	worker  *worker
	running sync.WaitGroup // everything that Run has to wait for

	mu    sync.Mutex // guards what follows, and the pools' fields that say so
	pools map[job.RouteKey]*pool
	ended bool
}

// end keeps pools from being woken from now on.
func (r *run) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

// visit brings the pool of an inbox in line with its route. A pool outlives changes of
// a REST route, its deletion included, since its fires are handled alike: the worker
// looks the route up for each.
func (r *run) visit(ctx context.Context, in job.Inbox) {
	r.mu.Lock()
	defer r.mu.Unlock()

	needed := in.Type == job.REST || in.Orphaned
	p := r.pools[in.RouteKey]
	if p != nil && (!needed || p.inbox.Type != in.Type) {
		p.stop()
		delete(r.pools, in.RouteKey)
		p = nil
	}
	if !needed {
		return
	}
	if p == nil {
		poolCtx, stop := context.WithCancel(ctx)
		p = newPool(poolCtx, r, in, stop)
		r.pools[in.RouteKey] = p
	}
	p.resize(cmp.Or(in.Concurrency, r.worker.Concurrency))
	p.limited = in.Concurrency > 0
	p.orphaned = in.Orphaned
	if !in.Orphaned {
		p.settledSince = time.Time{}
	}
	if in.Waiting || in.Orphaned || r.worker.Inboxes.Busy(in.RouteKey) {
		p.wake()
	}
}

// stir wakes the pool of a route that is about to have a fire. A pool that does not
// exist yet asks by itself when it is created.
func (r *run) stir(k job.RouteKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pools[k]; p != nil {
		p.wake()
	}
}
