package due

import (
	"sync"
	"sync/atomic"

	"belfry/internal/job"
)

// Claims knows the claims that stand, as of the tail, for those who are not
// the timer's loop: it answers workers as well as a replica would, without the
// read, which would wait for whatever batch is being committed. It is safe for
// concurrent use.
type Claims struct {
	// begun is told of the route of each claim that is added. It does not block.
	begun func(job.RouteKey)

	mu     sync.RWMutex // guards what follows
	claims map[uint64]standingClaim
	routes map[job.RouteKey]int // how many of them each route has
}

type standingClaim struct {
	route    job.RouteKey
	fireID   string
	due      int64
	replaces job.Position
	after    uint64     // its fire stands behind this in FIRES
	reason   job.Reason // of the last try
	detail   string
}

func newClaims(begun func(job.RouteKey)) *Claims {
	return &Claims{begun: begun, claims: map[uint64]standingClaim{}, routes: map[job.RouteKey]int{}}
}

func (b *Claims) add(r job.Record) {
	defer b.begun(r.RouteKey())
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.claims[r.Revision]; !known {
		b.routes[r.RouteKey()]++
	}
	b.claims[r.Revision] = standingClaim{route: r.RouteKey(), fireID: r.FireID, due: r.Due, replaces: r.Replaces, after: r.FiresAfter, reason: r.Reason, detail: r.Detail}
}

func (b *Claims) drop(revision uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, known := b.claims[revision]
	if !known {
		return
	}
	delete(b.claims, revision)
	if b.routes[c.route]--; b.routes[c.route] == 0 {
		delete(b.routes, c.route)
	}
}

// Busy reports whether the route has claims that stand.
func (b *Claims) Busy(k job.RouteKey) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.routes[k] > 0
}

// Earliest notes in all, for each route, the sequence in FIRES that the fires of its
// claims stand behind.
func (b *Claims) Earliest(all map[job.RouteKey]uint64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, c := range b.claims {
		if after, known := all[c.route]; !known || c.after < after {
			all[c.route] = c.after
		}
	}
}

// Record returns the record of a fire's claim, as far as a worker judges by it.
func (b *Claims) Record(f job.Fire) (job.Record, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	c, ok := b.claims[f.Claim]
	r := f.Record()
	r.Due, r.Replaces, r.Reason, r.Detail = c.due, c.replaces, c.reason, c.detail
	return r, ok && c.fireID == f.FireID
}

// Index finds the claims of all partitions of a node. The timer of a partition sets its
// own; until then there are none. It is safe for concurrent use.
type Index []atomic.Pointer[Claims]

// NewIndex makes an empty one.
func NewIndex(partitions int) Index {
	x := make(Index, partitions)
	for p := range x {
		x.Set(p, newClaims(func(job.RouteKey) {}))
	}
	return x
}

// Set has the claims of a partition be these from now on.
func (x Index) Set(partition int, c *Claims) { x[partition].Store(c) }

// Partition returns the claims of a partition.
func (x Index) Partition(partition int) *Claims { return x[partition].Load() }

// Busy reports whether the route has claims that stand.
func (x Index) Busy(k job.RouteKey) bool {
	for p := range x {
		if x.Partition(p).Busy(k) {
			return true
		}
	}
	return false
}
