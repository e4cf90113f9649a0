package due

import (
	"sync"
	"sync/atomic"

	"belfry/internal/job"
)

// Claims holds the standing claims, as the tail knows them, for readers outside the
// timer's loop. It answers workers as well as a replica would, but without a read, which
// would wait for the batch being committed. It is safe for concurrent use.
type Claims struct {
	// begun is called with the route of each claim that is added. It does not block.
	begun func(job.RouteKey)

	mu     sync.RWMutex // guards what follows
	claims map[uint64]standingClaim
	routes map[job.RouteKey]int // how many claims each route has
}

type standingClaim struct {
	route    job.RouteKey
	fireID   string
	due      int64
	replaces job.Position
	after    uint64     // the sequence in FIRES before its fire
	reason   job.Reason // why the last try failed
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

// Busy reports whether the route has standing claims.
func (b *Claims) Busy(k job.RouteKey) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.routes[k] > 0
}

// Earliest lowers all[route] to the lowest sequence in FIRES that the fires of the
// route's claims come after.
func (b *Claims) Earliest(all map[job.RouteKey]uint64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, c := range b.claims {
		if after, known := all[c.route]; !known || c.after < after {
			all[c.route] = c.after
		}
	}
}

// Record returns the record of a fire's claim, with the fields that a worker judges by.
func (b *Claims) Record(f job.Fire) (job.Record, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	c, ok := b.claims[f.Claim]
	r := f.Record()
	r.Due, r.Replaces, r.Reason, r.Detail = c.due, c.replaces, c.reason, c.detail
	return r, ok && c.fireID == f.FireID
}

// Index finds the claims of all partitions of a node. The timer of a partition sets its
// own; until then the partition has none. It is safe for concurrent use.
type Index []atomic.Pointer[Claims]

// NewIndex returns an empty index.
func NewIndex(partitions int) Index {
	x := make(Index, partitions)
	for p := range x {
		x.Set(p, newClaims(func(job.RouteKey) {}))
	}
	return x
}

// Set replaces the claims of a partition.
func (x Index) Set(partition int, c *Claims) { x[partition].Store(c) }

// Partition returns the claims of a partition.
func (x Index) Partition(partition int) *Claims { return x[partition].Load() }

// Busy reports whether the route has standing claims in any partition.
func (x Index) Busy(k job.RouteKey) bool {
	for p := range x {
		if x.Partition(p).Busy(k) {
			return true
		}
	}
	return false
}
