package delivery

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"belfry/internal/job"
	"belfry/internal/loglimit"
	"belfry/internal/panics"
)

// fetchWait is how long one fetch waits for fires.
const fetchWait = 30 * time.Second

// pool takes the fires of one inbox and works on a bounded number at once. It never
// asks for more fires than it has free slots: a fire that waits here for a slot would
// be late, and its wait would count against it.
type pool struct {
	run    *run
	inbox  job.Inbox
	log    *slog.Logger
	handle func(h job.Handover, posted func())

	ctx   context.Context // the pool's, kept here to derive rounds from it
	stop  context.CancelFunc
	slots *slots // one for each fire asked for or worked on, until its POST is over

	// storing has a place for each result that is being stored while the slot of
	// its fire works on the next one.
	storing *semaphore.Weighted

	trouble atomic.Bool // the last fetch failed

	made    time.Time
	stirred atomic.Int64 // when it was last woken or got a fire, since made

	// Guarded by run.mu.
	awake        bool      // it fetches, or is about to
	limited      bool      // the route limits the tries under way
	orphaned     bool      // the route is deleted
	settledSince time.Time // when the orphaned inbox was first seen settled

	// round is the context of the fetches that ask by the current limit; endRound ends
	// them early.
	round    context.Context
	endRound context.CancelFunc
}

// newPool returns a pool that sleeps, without goroutines or requests to the server,
// since most routes have nothing to deliver most of the time.
func newPool(ctx context.Context, r *run, in job.Inbox, stop context.CancelFunc) *pool {
	p := &pool{
		ctx:   ctx,
		made:  time.Now(),
		run:   r,
		inbox: in,
		log:   r.worker.Log.With("db", in.DB, "route", in.ID),
		stop:  stop,
		slots: newSlots(),

		storing: semaphore.NewWeighted(int64(storingPerSlot * r.worker.Concurrency)),
	}
	breaker := newBreaker(in.RouteKey)
	p.handle = func(h job.Handover, posted func()) { r.worker.deliver(h, breaker, posted) }
	if in.Type == job.NATS {
		p.handle = func(h job.Handover, _ func()) { r.worker.buryOrphan(h) }
	}
	p.round, p.endRound = context.WithCancel(ctx)
	return p
}

// resize sets how many fires are worked on at once. Fetches that asked for more than
// that ask again. The caller holds run.mu.
func (p *pool) resize(limit int) {
	if p.slots.resize(limit) {
		p.newRound()
	}
}

// fetchers is how many fetches of one inbox may be under way. One alone would
// spend most of a burst waiting for its next answer. While nothing is due the
// first one holds all slots, and the others wait for one.
const fetchers = 4

// wake makes the pool fetch, unless it already does or its context has ended. The
// caller holds run.mu.
func (p *pool) wake() {
	p.stir()
	if p.awake || p.run.ended || p.ctx.Err() != nil {
		return
	}
	p.awake = true
	p.run.running.Go(p.loop)
}

// stir notes that there is something to fetch.
func (p *pool) stir() { p.stirred.Store(int64(time.Since(p.made))) }

// restAfter is the shortest time that a pool fetches after it was woken. It is longer
// than the server takes to hand out again a fire that a worker has let go.
const restAfter = 10 * time.Second

// rest puts the pool to sleep, unless there may be something to fetch, and reports
// whether it did. The caller has just waited in vain for a whole fetch. The other
// fetches end: fires that would come later are for the pools that are woken then.
func (p *pool) rest() bool {
	p.run.mu.Lock()
	defer p.run.mu.Unlock()
	quiet := time.Since(p.made) - time.Duration(p.stirred.Load())
	if !p.awake || p.orphaned || quiet < restAfter || p.run.worker.Inboxes.Busy(p.inbox.RouteKey) {
		return false
	}
	p.awake = false
	p.newRound()
	return true
}

// newRound ends the fetches that are under way. The caller holds run.mu.
func (p *pool) newRound() {
	p.endRound()
	p.round, p.endRound = context.WithCancel(p.ctx)
}

// loop fetches until there is nothing to fetch, the pool's context ends, or the
// inbox of a deleted route was removed.
func (p *pool) loop() {
	ctx, sleep := context.WithCancel(p.ctx)
	defer sleep()
	var all sync.WaitGroup
	for i := range fetchers {
		all.Go(func() { p.fetchLoop(ctx, i == 0, sleep) })
	}
	all.Wait()
}

// fetchLoop is one fetcher; the first one also looks after an orphaned inbox. It calls
// sleep when the pool may rest.
func (p *pool) fetchLoop(ctx context.Context, first bool, sleep func()) {
	backOff := storeBackOff()
	for {
		round, free := p.reserve(ctx)
		if free == 0 {
			return
		}
		resting, err := p.fetch(round, free)
		if resting {
			sleep()
			return
		}
		if ctx.Err() != nil {
			return
		}
		if first && p.abandon(ctx) {
			p.stop()
			return
		}
		switch {
		case err != nil:
			if p.trouble.CompareAndSwap(false, true) {
				loglimit.Warn(p.log, "fires cannot be fetched", "error", err)
			}
			pause(ctx, backOff.NextBackOff())
		case p.trouble.CompareAndSwap(true, false):
			loglimit.Info(p.log, "fires are fetched again")
			fallthrough
		default:
			backOff.Reset()
		}
	}
}

// reserve waits for free slots and takes them, for a fetch in a round that ends when
// the limit falls. It reserves none when ctx ends.
func (p *pool) reserve(ctx context.Context) (round context.Context, free int) {
	// The round is read first: by the time the slots are free it may have ended.
	p.run.mu.Lock()
	round = p.round
	p.run.mu.Unlock()
	return round, p.slots.reserve(ctx)
}

// fetch works on at most free fires, on slots reserved for them, and gives back the
// slots it did not need. resting means that there were no fires and the pool was put
// to sleep.
func (p *pool) fetch(round context.Context, free int) (resting bool, err error) {
	taken := 0
	defer func() { p.slots.release(free - taken) }()
	if round.Err() != nil {
		return false, nil // the server might hand out its fires to nobody
	}
	err = p.run.worker.Inboxes.Fetch(round, p.inbox.RouteKey, free, p.wait(), func(h job.Handover) {
		if p.ctx.Err() != nil {
			h.Released()
			return // not begun, so the server can hand it out again
		}
		taken++
		p.stir()
		p.run.running.Go(func() {
			defer h.Released()
			w := &work{pool: p}
			defer w.done()
			defer panics.Recover(p.log, "a fire of a worker", p.run.worker.Metrics.Panicked)
			p.handle(h, w.posted)
		})
	})
	idle := err == nil && taken == 0 && round.Err() == nil
	return idle && p.rest(), err
}

// storingPerSlot is how many results may be stored beside each try. A crash repeats
// all of their POSTs, so there is a bound. But storing takes longer than many a POST,
// as all that fires shares the disk.
const storingPerSlot = 3

// work is one fire that the pool works on.
type work struct {
	*pool
	storing bool // it has a place in storing instead of its slot
}

// posted frees the slot, now that the POST is over and its result is being stored. A
// route's own limit holds across all nodes, and lasts until the result is stored.
func (w *work) posted() {
	w.run.mu.Lock()
	limited := w.limited
	w.run.mu.Unlock()
	if !limited && w.pool.storing.TryAcquire(1) {
		w.storing = true
		w.slots.release(1)
	}
}

// done frees what posted has not freed.
func (w *work) done() {
	if w.storing {
		w.pool.storing.Release(1)
	} else {
		w.slots.release(1)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
