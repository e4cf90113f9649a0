package streams

import (
	"context"
	"crypto/rand"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/streams/wire"
)

// leases decide which node tries to own which partition. They are for liveness
// only: what keeps two owners apart is the fence, so a lease that two nodes
// believe in costs a few refused fires, and an owner that cannot renew its own
// goes on until it is replaced.
//
// A lease is a key of the bucket belfry that its holder writes each second.
// Others count it as expired after three seconds without a write, as their own
// monotonic clock saw it; nobody compares clocks. Each node says in the same
// way that it is alive, from which all compute the same share.
type leases struct {
	s      *Store
	node   string
	clocks *clocks

	mu   sync.Mutex // guards what follows
	seen map[string]sighting
	held map[int]bool // the partitions whose timers we have told to own

	failed map[int]error // why the last write of a partition's lease failed, nil if it did not
}

const (
	beatEvery   = time.Second
	checkLeases = 250 * time.Millisecond
	leaseExpiry = 3 * time.Second
	// presenceTTL is when JetStream drops the keys of a dead node, well after
	// everybody has counted them as expired.
	presenceTTL = time.Minute
)

func newLeases(s *Store) *leases {
	node := rand.Text()
	return &leases{s: s, node: node, clocks: newClocks(node, s.cfg), seen: map[string]sighting{}, held: map[int]bool{}, failed: map[int]error{}}
}

// run runs the timers of all partitions, each on standby until this node has
// its lease, until ctx ends. Then it releases its leases once the timers are
// through, so that successors start at once and find nothing half done.
func (l *leases) run(ctx context.Context) {
	var timers sync.WaitGroup
	for _, t := range l.s.timers {
		timers.Go(func() { t.run(ctx) })
	}
	var watch sync.WaitGroup
	watch.Go(func() { l.watch(ctx) })
	if l.s.cfg.OnlyNode {
		// A lease that is there is our own from before a crash.
		for p := range l.s.partitions {
			l.own(ctx, p)
		}
	}
	tick := time.NewTicker(checkLeases)
	defer tick.Stop()
	var beaten time.Time
	for beats := 0; ctx.Err() == nil; {
		due := time.Since(beaten) >= beatEvery
		if due {
			beaten = time.Now()
			l.beat(ctx)
			if beats++; beats%publishClock == 0 {
				l.publishClock(ctx)
			}
		}
		l.rebalance(ctx, due)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	timers.Wait()
	watch.Wait()
	l.leave(context.WithoutCancel(ctx))
}

// hasOthers reports whether other nodes are alive.
func (l *leases) hasOthers() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.others() > 0
}

// others counts the other nodes that are alive; l.mu is held.
func (l *leases) others() int {
	n := 0
	for key, s := range l.seen {
		if strings.HasPrefix(key, wire.NodePrefix) && s.node != l.node && time.Since(s.at) < leaseExpiry {
			n++
		}
	}
	return n
}

// beat says that we are alive, and renews what we hold.
func (l *leases) beat(ctx context.Context) {
	var writes sync.WaitGroup
	writes.Go(func() {
		from := l.s.cfg.Now()
		if l.write(ctx, wire.NodeKey(l.node), nil) {
			l.clocks.beat(*l.revision(wire.NodeKey(l.node)), from, l.s.cfg.Now())
		}
	})
	writes.Go(func() { l.renew(ctx) })
	writes.Wait()
	l.clocks.look()
}

// publishClock tells the other nodes how our clock stands to the server's.
func (l *leases) publishClock(ctx context.Context) {
	data, known := l.clocks.report()
	if !known {
		return
	}
	m := &nats.Msg{Subject: l.s.cfg.Names.BelfrySubject(wire.ClockKey(l.node)), Header: nats.Header{wire.HeaderTTL: {presenceTTL.String()}}, Data: data}
	_, _ = l.s.requests.W.Send(ctx, m) // the next one says it again
}

// rebalance takes what is free and ours to take, and, when it may, hands over
// what is too much.
func (l *leases) rebalance(ctx context.Context, mayHandOver bool) {
	l.mu.Lock()
	var held, free []int
	for p := range l.s.partitions {
		s, leased := l.seen[wire.LeaseKey(p)]
		switch {
		case l.held[p]:
			held = append(held, p)
		case !leased || time.Since(s.at) >= leaseExpiry:
			free = append(free, p)
		}
	}
	h := fnv.New32a()
	h.Write([]byte(l.node)) // a Hash never returns an error
	take, handOver := balance(held, free, l.s.partitions, 1+l.others(), int(h.Sum32()>>1))
	l.mu.Unlock()

	for p, t := range l.s.timers {
		if !slices.Contains(take, p) {
			t.unleased.Store(false)
			continue
		}
		leased := l.write(ctx, wire.LeaseKey(p), l.revision(wire.LeaseKey(p)))
		t.unleased.Store(!leased)
		if leased {
			l.own(ctx, p)
		}
	}
	if handOver && mayHandOver {
		l.release(ctx, held[0])
	}
}

// renew writes the leases that we hold. One that somebody else has taken is
// theirs; our timer learns from the fence. One whose timer was replaced we
// give up.
func (l *leases) renew(ctx context.Context) {
	var writes sync.WaitGroup
	for p, t := range l.s.timers {
		l.mu.Lock()
		held, s := l.held[p], l.seen[wire.LeaseKey(p)]
		lost := held && s.node != "" && s.node != l.node && !l.s.cfg.OnlyNode
		if held && (lost || t.replaced.Load()) {
			delete(l.held, p)
			held = false
		}
		l.mu.Unlock()
		if held {
			writes.Go(func() { l.write(ctx, wire.LeaseKey(p), l.revision(wire.LeaseKey(p))) })
		}
	}
	writes.Wait()
}

// own tells the timer of a partition to own it.
func (l *leases) own(ctx context.Context, p int) {
	l.mu.Lock()
	l.held[p] = true
	l.mu.Unlock()
	select {
	case l.s.timers[p].orders <- order{own: true}:
	case <-ctx.Done():
	}
}

// release hands a partition over: its timer comes to rest, then the lease goes.
func (l *leases) release(ctx context.Context, p int) {
	l.s.cfg.Log.Info("handing a partition over", "partition", p)
	done := make(chan struct{})
	select {
	case l.s.timers[p].orders <- order{done: done}:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-time.After(shutdownPatience): // the fence settles what is left
	case <-ctx.Done():
		return
	}
	l.drop(ctx, p)
}

// drop deletes a lease that we hold.
func (l *leases) drop(ctx context.Context, p int) {
	l.mu.Lock()
	delete(l.held, p)
	mine := l.seen[wire.LeaseKey(p)].node == l.node
	l.mu.Unlock()
	if mine {
		l.erase(ctx, wire.LeaseKey(p))
	}
}

// leave deletes all that says that we are here.
func (l *leases) leave(ctx context.Context) {
	for p := range l.s.partitions {
		l.mu.Lock()
		held := l.held[p]
		l.mu.Unlock()
		if held {
			l.drop(ctx, p)
		}
	}
	l.erase(ctx, wire.NodeKey(l.node))
}
