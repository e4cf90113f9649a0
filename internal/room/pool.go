// Package room bounds in bytes how much many requests, or jobs under way, hold
// together. It shares the bytes fairly between the owners of the requests or jobs:
// dbs, or routes.
//
// A [Pool] has a fixed number of bytes. An owner that holds some gets more only up to
// half of what the others leave, so there is always room for an owner who has none
// yet. Waiting requests are served in turn: the owner that holds the least comes
// first, and the requests of one owner keep their order. A wait is bounded, and ends
// with [ErrFull].
//
// The package counts what its callers report. It does not measure memory, and it does
// not know what a request costs beside the bytes it asks room for.
package room

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrFull means that there was no room in time.
var ErrFull = errors.New("requests hold too much memory")

// Config is the configuration of a [Pool].
type Config struct {
	// Bytes is the size of the pool.
	Bytes int64

	// Patience is how long a request waits for room at most; 0 means
	// [DefaultPatience]. Each waits for at least three quarters of it: those that came
	// together do not give up together.
	Patience time.Duration

	// Watch receives the pool's events; nil means nobody does. Its methods must not
	// block, and must not call the pool.
	Watch Watcher
}

// Watcher receives a pool's events.
type Watcher interface {
	Holds(bytes int64)    // so much is held now
	Waits(owner string)   // a request has to wait
	Refuses(owner string) // a request has waited in vain
}

// DefaultPatience is how long a request waits for room by default. It is shorter than
// the time that the store may take for the request, so that the requester learns the
// reason.
const DefaultPatience = 3 * time.Second

// Pool is room for a number of bytes. A nil Pool has room without end. It is safe for
// concurrent use.
type Pool struct {
	bytes    int64
	patience time.Duration
	watch    Watcher

	freed atomic.Pointer[func()] // see [Pool.OnFreed]

	mu      sync.Mutex        // guards what follows
	held    int64             // by all; more than bytes after Force
	waiting int               // how many wait
	owners  map[string]*owner // those that hold something, or wait
	brake   brake
}

type owner struct {
	name    string
	held    int64
	waiting []*waiter
}

type waiter struct {
	n     int64
	ready chan struct{} // closed once n is held
}

// New returns an empty pool.
func New(cfg Config) *Pool {
	if cfg.Patience == 0 {
		cfg.Patience = DefaultPatience
	}
	return &Pool{bytes: cfg.Bytes, patience: cfg.Patience, watch: cfg.Watch, owners: map[string]*owner{}}
}

// Share is how much one owner gets while nobody else has anything.
func (p *Pool) Share() int64 {
	if p == nil {
		return 1 << 62
	}
	return p.bytes / 2
}

// Held returns how much is held.
func (p *Pool) Held() int64 {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// HeldBy returns how much one owner holds.
func (p *Pool) HeldBy(name string) int64 {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.owners[name]; o != nil {
		return o.held
	}
	return 0
}

// OnFreed makes the pool call f whenever there may be more room than before, for
// users of [Pool.TryTake]. f must not block. It may call the pool.
func (p *Pool) OnFreed(f func()) {
	if p != nil {
		p.freed.Store(&f)
	}
}

func (p *Pool) tellFreed() {
	if f := p.freed.Load(); f != nil {
		(*f)()
	}
}

// Waiting returns how many wait for room.
func (p *Pool) Waiting() int {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting
}

// Take takes n bytes for the owner, and waits for them if need be. It returns how
// many it took, to be given back: no more than [Pool.Share], since nobody ever gets
// more. The error is [ErrFull], or that of ctx.
func (p *Pool) Take(ctx context.Context, name string, n int64) (took int64, err error) {
	if p == nil || n <= 0 {
		return 0, nil
	}
	n = min(n, p.Share())
	p.mu.Lock()
	o := p.owner(name)
	if p.waiting == 0 && !p.brake.stops(n) && p.fits(o, n) {
		p.grant(o, n, false)
		p.mu.Unlock()
		return n, nil
	}
	w := &waiter{n: n, ready: make(chan struct{})}
	o.waiting = append(o.waiting, w)
	p.waiting++
	p.serve()
	p.mu.Unlock()
	select {
	case <-w.ready:
		return n, nil
	default:
	}
	if p.watch != nil {
		p.watch.Waits(name)
	}
	patience := time.NewTimer(p.patience - rand.N(p.patience/4+1))
	defer patience.Stop()
	select {
	case <-w.ready:
		return n, nil
	case <-patience.C:
		err = ErrFull
	case <-ctx.Done():
		err = ctx.Err()
	}
	if !p.leave(o, w) {
		return n, nil // it came at the last moment
	}
	if p.watch != nil && err == ErrFull {
		p.watch.Refuses(name)
	}
	return 0, err
}

// TryTake is [Pool.Take] without a wait. It takes all of n, or nothing. Owners that
// wait because they have come to their share do not stand in its way.
func (p *Pool) TryTake(name string, n int64) bool {
	if p == nil || n <= 0 {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.owner(name)
	if p.promised() || p.brake.stops(n) || !p.fits(o, n) {
		p.forget(o)
		return false
	}
	p.grant(o, n, false)
	return true
}

// Force takes n bytes whether there is room or not, for what is held already.
// Others wait until as much is given back.
func (p *Pool) Force(name string, n int64) {
	if p == nil || n <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(p.owner(name), n)
}

// Give gives back what was taken.
func (p *Pool) Give(name string, n int64) {
	if p == nil || n <= 0 {
		return
	}
	p.mu.Lock()
	o := p.owner(name)
	p.add(o, -n)
	p.serve()
	p.forget(o)
	p.mu.Unlock()
	p.tellFreed()
}

// owner returns the owner of that name; p.mu is held, as below.
func (p *Pool) owner(name string) *owner {
	o := p.owners[name]
	if o == nil {
		o = &owner{name: name}
		p.owners[name] = o
	}
	return o
}

func (p *Pool) forget(o *owner) {
	if o.held == 0 && len(o.waiting) == 0 {
		delete(p.owners, o.name)
	}
}

func (p *Pool) add(o *owner, n int64) {
	o.held += n
	p.held += n
	if p.watch != nil {
		p.watch.Holds(p.held)
	}
}

// fits reports whether the owner may have n more now.
func (p *Pool) fits(o *owner, n int64) bool {
	switch free := p.bytes - p.held; {
	case n > free:
		return false
	case o.held == 0:
		return true
	default:
		return o.held+n <= (free+o.held)/2
	}
}

// promised reports whether somebody waits who holds nothing, and comes first.
func (p *Pool) promised() bool {
	if p.waiting == 0 {
		return false
	}
	for _, o := range p.owners {
		if o.held == 0 && len(o.waiting) > 0 && !p.brake.stopsWaiting(o.waiting[0].n) {
			return true
		}
	}
	return false
}

// serve gives room to those who wait, as far as there is some.
func (p *Pool) serve() {
	for p.waiting > 0 && p.serveOne() {
	}
}

// serveOne gives room to one. An owner that comes before others and needs more
// than is free keeps them from taking it; one that has come to its share does not.
func (p *Pool) serveOne() bool {
	var waiting []*owner
	for _, o := range p.owners {
		if len(o.waiting) > 0 {
			waiting = append(waiting, o)
		}
	}
	slices.SortFunc(waiting, func(a, b *owner) int {
		return cmp.Or(cmp.Compare(a.held, b.held), cmp.Compare(a.name, b.name))
	})
	for _, o := range waiting {
		w := o.waiting[0]
		if !p.brake.stopsWaiting(w.n) && p.fits(o, w.n) {
			o.waiting = o.waiting[1:]
			p.waiting--
			p.grant(o, w.n, true)
			close(w.ready)
			return true
		}
		if o.held == 0 && !p.brake.stopsWaiting(w.n) {
			return false
		}
	}
	return false
}

// leave ends a wait; it returns false if the wait was served before.
func (p *Pool) leave(o *owner, w *waiter) bool {
	left := p.remove(o, w)
	if left {
		p.tellFreed()
	}
	return left
}

func (p *Pool) remove(o *owner, w *waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(o.waiting, w)
	if i < 0 {
		return false
	}
	o.waiting = slices.Delete(o.waiting, i, i+1)
	p.waiting--
	p.serve() // it may have kept others waiting
	p.forget(o)
	return true
}
