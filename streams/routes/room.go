package routes

import (
	"context"
	"errors"
	"time"

	"belfry/internal/job"
	"belfry/streams/due"
	"belfry/streams/journal"
)

// A worker does not know how large the next fires are until they arrive. So a pull asks
// for few bytes, and the server ends it if the next fire is larger. Then room is taken
// for fires of the largest size, and they are pulled one after the other, or several at a
// time if there is room. Small fires are counted as they arrive.

// pullSize says how large the fires are that a pull of a route expects.
type pullSize int

const (
	smallPulls   pullSize = iota // many small ones
	largePulls                   // up to the largest that is accepted
	anySizePulls                 // one fire of any size: it was published under another limit
)

const (
	// smallPull and largestSmallPull bound the bytes of a pull that has taken no room.
	// smallFire is the size that it expects of each fire.
	smallPull        = 64 << 10
	largestSmallPull = 256 << 10
	smallFire        = 1 << 10

	// heldFreely is how much each route may hold without asking for room, so that small
	// fires never wait for the large fires of other routes.
	heldFreely = 64 << 10

	// largePull is how many large fires one pull asks for. largeWait is how long room is
	// held for large fires that do not come.
	largePull = 8
	largeWait = 250 * time.Millisecond
)

// fetchInRoom is [Inboxes.Fetch].
func (in *Inboxes) fetchInRoom(ctx context.Context, k job.RouteKey, max int, wait time.Duration, take func(job.Handover)) error {
	until := time.Now().Add(wait)
	for taken := 0; ctx.Err() == nil; {
		f := &roomyFetch{in: in, route: k, owner: due.RoomOwner(k), size: in.pullSize(k)}
		n, bytes, ok := f.reserve(ctx, max)
		if !ok { // there is no room yet
			if time.Now().After(until) {
				return nil
			}
			continue
		}
		err := in.fetch(ctx, k, n, bytes, f.wait(time.Until(until)), func(h job.Handover) {
			taken++
			f.came(&h)
			take(h)
		})
		f.end()
		if err == nil || !errors.Is(err, journal.ErrMaxBytes) {
			in.expect(k, f.next())
			if err == nil && f.size != smallPulls && taken == 0 && time.Now().Before(until) {
				continue // no large fire came; go on as usual
			}
			return err
		}
		if f.fires > 0 {
			return nil // the next pull has more room
		}
		in.expect(k, min(f.size+1, anySizePulls))
	}
	return nil
}

func (in *Inboxes) pullSize(k job.RouteKey) pullSize {
	size, _ := in.large.Load(k)
	s, _ := size.(pullSize)
	return s
}

func (in *Inboxes) expect(k job.RouteKey, s pullSize) {
	if s == smallPulls {
		in.large.Delete(k)
	} else {
		in.large.Store(k, s)
	}
}

// roomyFetch is one pull, with the room that it has taken.
type roomyFetch struct {
	in    *Inboxes
	route job.RouteKey
	owner string
	size  pullSize

	reserved int64
	fires    int // how many came
	large    int // how many of those were large
}

// reserve takes room for at most max fires. It returns how many may come, and their
// bytes.
func (f *roomyFetch) reserve(ctx context.Context, max int) (n, bytes int, ok bool) {
	pool := f.in.cfg.Room.Pool
	if pool == nil {
		return max, 0, true
	}
	largest := f.in.cfg.MaxMeta + journal.BesideMeta
	switch f.size {
	case smallPulls:
		if pool.HeldBy(f.owner) >= heldFreely {
			took, err := pool.Take(ctx, f.owner, smallPull)
			if err != nil {
				return 0, 0, false
			}
			f.reserved = took
		}
		return max, min(smallPull+(max-1)*smallFire/2, largestSmallPull), true
	case largePulls:
		each := f.in.cfg.Room.Cost(largest)
		took, err := pool.Take(ctx, f.owner, each)
		if err != nil {
			return 0, 0, false
		}
		f.reserved = took
		for n = 1; n < min(max, largePull) && pool.TryTake(f.owner, each); n++ {
			f.reserved += each
		}
		return n, n * largest, true
	default:
		took, err := pool.Take(ctx, f.owner, pool.Share())
		f.reserved = took
		return 1, 0, err == nil
	}
}

// wait is how long the pull may wait for fires.
func (f *roomyFetch) wait(most time.Duration) time.Duration {
	if f.size != smallPulls {
		most = min(most, largeWait)
	}
	return max(most, time.Millisecond)
}

// came makes a fire hold room until it is released.
func (f *roomyFetch) came(h *job.Handover) {
	f.fires++
	if len(h.Meta) > due.LargeRecord {
		f.large++
	}
	pool, owner := f.in.cfg.Room.Pool, f.owner
	need := min(due.MemoryOf(len(h.Meta)), pool.Share())
	pool.Force(owner, need-f.reserved)
	f.reserved = max(f.reserved-need, 0)
	h.Release = func() { pool.Give(owner, need) }
}

// end gives back the room that no fire has taken.
func (f *roomyFetch) end() { f.in.cfg.Room.Pool.Give(f.owner, f.reserved) }

// next returns the size that the route's next pull expects.
func (f *roomyFetch) next() pullSize {
	if f.large == 0 {
		return smallPulls
	}
	return largePulls
}

// LargePulls counts the routes that expect large fires.
func (in *Inboxes) LargePulls() (n int) {
	in.large.Range(func(any, any) bool { n++; return true })
	return n
}
