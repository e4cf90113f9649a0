package streams

import (
	"context"
	"errors"

	"belfry/internal/job"
	"belfry/internal/room"
)

// inFlight bounds in bytes the jobs that are loaded, fired or delivered on this
// node, over all partitions and routes. A route gets half of what the others leave.
// The zero value has no bound.
//
// The timer takes room before it loads a large job, and the room goes with the job
// to the end of its fire. Workers take theirs before they fetch; see inboxroom.go.
// Nobody who holds room for a job waits for more to finish that job. So room is
// always given back, and a job that is larger than the share of its route goes
// alone.
//
// Small jobs take no room in the timer. Their number and size are bounded instead,
// by maxFiring, [inFlight.loaded] and [inFlight.unfinished], so large jobs never
// keep them waiting.
type inFlight struct {
	pool       *room.Pool
	partitions int
}

// largeRecord is how many bytes a job may have until it counts as large.
const largeRecord = 16 << 10

// maxUnfinishedBytes bounds the jobs that wait for their final state, in bytes.
const maxUnfinishedBytes = 64 << 20

// cost is the room that a job of so many bytes takes: one copy as it was read, and
// one as it is written.
func (f inFlight) cost(bytes int) int64 {
	if bytes <= largeRecord {
		return 0
	}
	return min(memoryOf(bytes), f.pool.Share())
}

// memoryOf is roughly what a job of so many bytes takes while it is under way.
func memoryOf(bytes int) int64 { return 2*int64(bytes) + 1<<10 }

// roomOwner is the owner of the room that a route's jobs take.
func roomOwner(k job.RouteKey) string { return k.DB + "\x00" + k.ID }

// give gives back the room of a record that was loaded.
func (f inFlight) give(r job.Record) { f.pool.Give(roomOwner(r.RouteKey()), f.cost(len(r.Meta))) }

// wait takes room for a job of so many bytes, however long it takes to get it. It is
// false if ctx ends first.
func (f inFlight) wait(ctx context.Context, k job.RouteKey, bytes int) (giveBack func(), ok bool) {
	for {
		took, err := f.pool.Take(ctx, roomOwner(k), f.cost(bytes))
		if err == nil {
			return func() { f.pool.Give(roomOwner(k), took) }, true
		}
		if !errors.Is(err, room.ErrFull) {
			return nil, false
		}
	}
}

// loaded bounds the small jobs that one partition has loaded, in bytes, and
// unfinished those that wait for their final state.
func (f inFlight) loaded() int     { return f.part(maxLoaded) }
func (f inFlight) unfinished() int { return f.part(maxUnfinishedBytes) }

// part is a quarter of all, divided among the partitions, and at most so much.
func (f inFlight) part(most int) int {
	if f.pool == nil {
		return most
	}
	return max(min(most, int(f.pool.Share()/2)/max(f.partitions, 1)), 1<<20)
}
