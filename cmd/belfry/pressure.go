package main

import (
	"context"
	"runtime"
	"runtime/metrics"
	"time"

	"belfry/internal/room"
)

// pressure slows large jobs down while the process comes close to GOMEMLIMIT. The
// embedded server keeps each block that it has written in memory for ten seconds,
// so what it takes depends on how many bytes a second are written, and no bound on
// what is under way bounds that. Without this, garbage collection would take what
// processor time there is.
type pressure struct {
	limit int64
	jobs  *room.Pool
}

const (
	// tightFrom is the part of the limit that may be in use until large jobs are
	// slowed down, in percent.
	tightFrom = 60

	// lookAtMemory is how often it is looked at, and how often one large job may
	// begin meanwhile. collectAfter is how old the figure may be then.
	lookAtMemory = 50 * time.Millisecond
	collectAfter = 500 * time.Millisecond
)

// run watches until ctx ends.
func (p pressure) run(ctx context.Context) error {
	tick := time.NewTicker(lookAtMemory)
	defer tick.Stop()
	figures := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}
	var (
		tight  bool
		cycles uint64
		since  time.Time // when that many cycles were first seen
	)
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			metrics.Read(figures)
			live, n := int64(figures[0].Value.Uint64()), figures[1].Value.Uint64()
			if n != cycles {
				cycles, since = n, now
			}
			was := tight
			tight = live > p.limit/100*tightFrom
			if tight || was {
				p.jobs.Brake(tight)
			}
			// The live heap falls only as far as the collector has seen it. A run has
			// little to do: nearly all of the heap is bytes.
			if (tight || p.jobs.Held() > p.jobs.Share()/2) && now.Sub(since) > collectAfter {
				runtime.GC()
			}
		}
	}
}
