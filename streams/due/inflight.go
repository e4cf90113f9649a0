package due

import (
	"context"
	"errors"

	"belfry/internal/job"
	"belfry/internal/room"
)

// InFlight bounds, in bytes, the jobs that are loaded, fired or delivered on this node,
// over all partitions and routes. A route gets half of what the others leave. The zero
// value has no bound.
//
// The timer takes room before it loads a large job, and the room stays with the job to
// the end of its fire. Workers take theirs before they fetch; see streams/routes/room.go.
// A holder of room for a job never waits for more room to finish that job. So room is
// always given back, and a job that is larger than the share of its route runs alone.
//
// Small jobs take no room in the timer. Their number and size are bounded by how many may
// fire, [InFlight.loaded] and [InFlight.Unfinished] instead, so large jobs never keep
// them waiting.
type InFlight struct {
	Pool       *room.Pool
	partitions int
}

// NewInFlight bounds the jobs under way by a pool; a nil pool is no bound. The partitions
// divide what small jobs may take.
func NewInFlight(pool *room.Pool, partitions int) InFlight {
	return InFlight{Pool: pool, partitions: partitions}
}

// LargeRecord is the largest size, in bytes, of a job that counts as small.
const LargeRecord = 16 << 10

// MaxUnfinishedBytes bounds, in bytes, the jobs that wait for their final state.
const MaxUnfinishedBytes = 64 << 20

// Cost is the room that a job of that many bytes takes: one copy as it was read, and one
// as it is written.
func (f InFlight) Cost(bytes int) int64 {
	if bytes <= LargeRecord {
		return 0
	}
	return min(MemoryOf(bytes), f.Pool.Share())
}

// MemoryOf is roughly the memory that a job of that many bytes takes while it is under
// way.
func MemoryOf(bytes int) int64 { return 2*int64(bytes) + 1<<10 }

// RoomOwner returns the owner of the room that a route's jobs take.
func RoomOwner(k job.RouteKey) string { return k.DB + "\x00" + k.ID }

// Give gives back the room of a record that was loaded.
func (f InFlight) Give(r job.Record) { f.Pool.Give(RoomOwner(r.RouteKey()), f.Cost(len(r.Meta))) }

// Wait takes room for a job of that many bytes, however long it takes to get it. ok is
// false if ctx ends first.
func (f InFlight) Wait(ctx context.Context, k job.RouteKey, bytes int) (giveBack func(), ok bool) {
	for {
		took, err := f.Pool.Take(ctx, RoomOwner(k), f.Cost(bytes))
		if err == nil {
			return func() { f.Pool.Give(RoomOwner(k), took) }, true
		}
		if !errors.Is(err, room.ErrFull) {
			return nil, false
		}
	}
}

// loaded bounds, in bytes, the small jobs that one partition has loaded. Unfinished
// bounds those that wait for their final state.
func (f InFlight) loaded() int     { return f.part(maxLoaded) }
func (f InFlight) Unfinished() int { return f.part(MaxUnfinishedBytes) }

// part is a quarter of the pool, divided among the partitions, and at most most.
func (f InFlight) part(most int) int {
	if f.Pool == nil {
		return most
	}
	return max(min(most, int(f.Pool.Share()/2)/max(f.partitions, 1)), 1<<20)
}
