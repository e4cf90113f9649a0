package lease

import (
	"context"
	"crypto/rand"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/journal"
	"belfry/streams/wire"
)

// Leases decide which node tries to own which partition. They are for liveness only: the
// fence keeps two owners apart. So a lease that two nodes take for theirs costs a few
// refused fires, and an owner that cannot renew its lease goes on until it is replaced.
//
// A lease is a key of the bucket belfry that its holder writes each second. Other nodes
// count it as expired after three seconds without a write, by their own monotonic clock;
// nobody compares clocks. Each node also writes a key to show that it is alive, and all
// nodes compute the same share from these keys.
type Leases struct {
	js         jetstream.JetStream
	w          *journal.Writer
	requests   *journal.Writer
	partitions []Partition
	cfg        Config

	node   string
	clocks *clocks

	mu   sync.Mutex          // guards what follows
	seen map[string]presence // by key
	held map[int]bool        // the partitions that we have ordered to be owned

	failed map[int]error // why the last write of a partition's lease failed, or nil
}

const (
	heartbeatEvery = time.Second
	checkLeases    = 250 * time.Millisecond
	leaseExpiry    = 3 * time.Second
	// PresenceTTL is when JetStream drops the keys of a dead node, well after all nodes
	// have counted them as expired.
	PresenceTTL = time.Minute
)

// New returns the leases of all partitions, written through by. requests is the requests'
// writer, for reports that may wait.
func New(by journal.Access, requests *journal.Writer, partitions []Partition, cfg Config) *Leases {
	node := rand.Text()
	return &Leases{
		js: by.JS, w: by.W, requests: requests, partitions: partitions, cfg: cfg,
		node: node, clocks: newClocks(node, cfg),
		seen: map[string]presence{}, held: map[int]bool{}, failed: map[int]error{},
	}
}

// Run runs all partitions until ctx ends, each on standby until this node has its lease.
// Then it releases its leases once the partitions have ended, so that successors start at
// once and find nothing half done.
func (l *Leases) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, part := range l.partitions {
		running.Go(func() { part.Run(ctx) })
	}
	var watch sync.WaitGroup
	watch.Go(func() { l.watch(ctx) })
	if l.cfg.OnlyNode {
		// An existing lease is our own from before a crash.
		for p := range l.partitions {
			l.own(ctx, p)
		}
	}
	tick := time.NewTicker(checkLeases)
	defer tick.Stop()
	var last time.Time // the last heartbeat
	for heartbeats := 0; ctx.Err() == nil; {
		due := time.Since(last) >= heartbeatEvery
		if due {
			last = time.Now()
			l.heartbeat(ctx)
			if heartbeats++; heartbeats%publishClock == 0 {
				l.publishClock(ctx)
			}
		}
		l.rebalance(ctx, due)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	running.Wait()
	watch.Wait()
	l.leave(context.WithoutCancel(ctx))
}

// HasOthers reports whether other nodes are alive.
func (l *Leases) HasOthers() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.others() > 0
}

// others counts the other nodes that are alive; l.mu is held.
func (l *Leases) others() int {
	n := 0
	for key, s := range l.seen {
		if strings.HasPrefix(key, wire.NodePrefix) && s.node != l.node && time.Since(s.at) < leaseExpiry {
			n++
		}
	}
	return n
}

// ClockWarnings describes the clocks that differ from ours, for humans.
func (l *Leases) ClockWarnings() []string { return l.clocks.warnings() }

// heartbeat shows that we are alive, and renews the leases that we hold.
func (l *Leases) heartbeat(ctx context.Context) {
	var writes sync.WaitGroup
	writes.Go(func() {
		from := l.cfg.Now()
		if l.write(ctx, wire.NodeKey(l.node), nil) {
			l.clocks.answered(*l.revision(wire.NodeKey(l.node)), from, l.cfg.Now())
		}
	})
	writes.Go(func() { l.renew(ctx) })
	writes.Wait()
	l.clocks.look()
}

// publishClock tells the other nodes how our clock compares with the server's.
func (l *Leases) publishClock(ctx context.Context) {
	data, known := l.clocks.report()
	if !known {
		return
	}
	m := &nats.Msg{Subject: l.w.Names.BelfrySubject(wire.ClockKey(l.node)), Header: nats.Header{wire.HeaderTTL: {PresenceTTL.String()}}, Data: data}
	_, _ = l.requests.Send(ctx, m) // the next report repeats it
}

// rebalance takes the free partitions that are ours to take. If it may, it hands one over
// when we hold too many.
func (l *Leases) rebalance(ctx context.Context, mayHandOver bool) {
	l.mu.Lock()
	var held, free []int
	for p := range l.partitions {
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
	take, handOver := balance(held, free, len(l.partitions), 1+l.others(), int(h.Sum32()>>1))
	l.mu.Unlock()

	for p, part := range l.partitions {
		if !slices.Contains(take, p) {
			part.SetUnleased(false)
			continue
		}
		leased := l.write(ctx, wire.LeaseKey(p), l.revision(wire.LeaseKey(p)))
		part.SetUnleased(!leased)
		if leased {
			l.own(ctx, p)
		}
	}
	if handOver && mayHandOver {
		l.release(ctx, held[0])
	}
}

// renew writes the leases that we hold. If somebody else has taken a lease, it is theirs;
// our partition learns so from the fence. If a partition was replaced, we give its lease
// up.
func (l *Leases) renew(ctx context.Context) {
	var writes sync.WaitGroup
	for p, part := range l.partitions {
		l.mu.Lock()
		held, s := l.held[p], l.seen[wire.LeaseKey(p)]
		lost := held && s.node != "" && s.node != l.node && !l.cfg.OnlyNode
		if held && (lost || part.Replaced()) {
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

// own orders a partition to be owned.
func (l *Leases) own(ctx context.Context, p int) {
	l.mu.Lock()
	l.held[p] = true
	l.mu.Unlock()
	l.partitions[p].Own(ctx)
}

// release hands a partition over: the partition stops first, then the lease goes. The
// fence settles what is left by then.
func (l *Leases) release(ctx context.Context, p int) {
	l.cfg.Log.Info("handing a partition over", "partition", p)
	if l.partitions[p].Release(ctx) {
		l.drop(ctx, p)
	}
}

// drop deletes a lease that we hold.
func (l *Leases) drop(ctx context.Context, p int) {
	l.mu.Lock()
	delete(l.held, p)
	mine := l.seen[wire.LeaseKey(p)].node == l.node
	l.mu.Unlock()
	if mine {
		l.erase(ctx, wire.LeaseKey(p))
	}
}

// leave deletes our keys.
func (l *Leases) leave(ctx context.Context) {
	for p := range l.partitions {
		l.mu.Lock()
		held := l.held[p]
		l.mu.Unlock()
		if held {
			l.drop(ctx, p)
		}
	}
	l.erase(ctx, wire.NodeKey(l.node))
}
