package main

import (
	"context"
	"runtime"
	"runtime/metrics"
	"time"

	"belfry/internal/room"
)

// pressure slows large jobs down while the process comes close to GOMEMLIMIT. The
// embedded server keeps each block that it has written in memory for ten seconds, so its
// memory depends on how many bytes a second are written, and no bound on the jobs under
// way bounds it. Without pressure, garbage collection would take all the processor time.
// processor time there is.
//
// Memory in use while hardly any job is under way, such as the memory of millions of
// pending jobs, is no reason to slow anything down.
type pressure struct {
	limit   int64
	jobs    *room.Pool
	heap    func() (live int64, cycles uint64) // as the last run of the collector found it
	collect func()                             // runs the collector

	tight  bool
	cycles uint64
	since  time.Time     // when that many cycles were first seen
	busy   time.Time     // when jobs last held much
	base   int64         // the live heap without them
	found  int64         // the live heap when pause was reset
	pause  time.Duration // how old the figure may be
}

const (
	// tightFrom is the part of the limit, in percent, that may be in use before large
	// jobs are slowed down. If the rest of the process leaves little of that, they may
	// use tightAbove percent of what it leaves in any case.
	tightFrom  = 60
	tightAbove = 25

	// lookAtMemory is how often the memory is checked, and how often one large job may
	// begin meanwhile. collectAfter is how old the figure may be then. The allowed age
	// grows while runs of the collector change nothing.
	lookAtMemory = 50 * time.Millisecond
	collectAfter = 500 * time.Millisecond
	collectLast  = 10 * time.Second

	// restAfter is how long after the last large jobs their memory is free: by then the
	// embedded server has released it, too.
	restAfter = 12 * time.Second
)

func newPressure(limit int64, jobs *room.Pool) *pressure {
	figures := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}
	return &pressure{
		limit: limit,
		jobs:  jobs,
		heap: func() (int64, uint64) {
			metrics.Read(figures)
			return int64(figures[0].Value.Uint64()), figures[1].Value.Uint64()
		},
		collect: runtime.GC,
	}
}

// run watches until ctx ends.
func (p *pressure) run(ctx context.Context) error {
	tick := time.NewTicker(lookAtMemory)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			p.look(now)
		}
	}
}

// look checks the memory once.
func (p *pressure) look(now time.Time) {
	live, cycles := p.heap()
	held := p.jobs.Held()
	if held > p.jobs.Share()/16 {
		p.busy = now
	}
	rest := now.Sub(p.busy) > restAfter
	if cycles != p.cycles {
		p.cycles, p.since = cycles, now
		if rest {
			p.base = live
		}
	}
	was := p.tight
	p.tight = !rest && live > p.tightAt()
	if p.tight || was {
		p.jobs.Brake(p.tight)
	}
	if p.pause == 0 || max(live-p.found, p.found-live) > p.limit/50 {
		p.found, p.pause = live, collectAfter
	}
	// The live heap falls only as far as the collector has seen it. While large jobs
	// are under way nearly all of the heap is bytes, and a run has little to do.
	if (p.tight || held > p.jobs.Share()/2) && now.Sub(p.since) > p.pause {
		p.collect()
		p.pause = min(2*p.pause, collectLast)
	}
}

// tightAt is the live heap from which large jobs are slowed down.
func (p *pressure) tightAt() int64 {
	return max(p.limit/100*tightFrom, p.base+(p.limit-p.base)/100*tightAbove)
}
