package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// drainWithin is how long the last jobs may take to arrive and to be final once
// everything is up again. A fire that was handed to a node that died comes again when
// its wait is over, which takes half of that time.
const drainWithin = time.Minute

// drain waits until the checker is content, at most [drainWithin], and records the final
// statuses of the jobs. It leaves a last moment for repeats.
func drain(ctx context.Context, c *caller, r *rand.Rand, in *receiver, h *history) error {
	deadline := time.Now().Add(drainWithin)
	quiet := false
	for {
		for i, status := range c.statuses(ctx, r, h.jobs) {
			h.jobs[i].final = status
		}
		h.arrivals = in.arrived()
		var err error
		if h.fires, err = in.stored(ctx); err != nil {
			return err
		}
		content := len(check(*h)) == 0
		if content && quiet || time.Now().After(deadline) {
			return ctx.Err()
		}
		quiet = content
		if err := wait(ctx, 2*time.Second); err != nil {
			return err
		}
	}
}

// statuses asks for the status of each job, except those that are final.
func (c *caller) statuses(ctx context.Context, r *rand.Rand, jobs []told) []string {
	const atOnce = 16
	all := make([]string, len(jobs))
	next := make(chan int)
	var asking sync.WaitGroup
	for range atOnce {
		own := rand.New(rand.NewPCG(r.Uint64(), 0))
		asking.Go(func() {
			for i := range next {
				all[i] = c.status(ctx, own, jobs[i].id)
			}
		})
	}
	for i, t := range jobs {
		switch t.final {
		case "delivered", "published", "cancelled":
			all[i] = t.final
		default:
			next <- i
		}
	}
	close(next)
	asking.Wait()
	return all
}
