package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// tally counts arrivals. It is safe for concurrent use.
type tally struct {
	onTime func(late time.Duration) // called for each arrival, if not nil

	mu    sync.Mutex // guards the fields below
	late  []time.Duration
	seen  []bool
	left  int
	twice int
	early int
	last  time.Time
	err   error
	all   chan struct{} // closed when each job has arrived once
}

func newTally(jobs int) *tally {
	return &tally{seen: make([]bool, jobs), left: jobs, all: make(chan struct{})}
}

// arrived counts one arrival.
func (t *tally) arrived(meta []byte) {
	now := time.Now()
	i, due, err := parseMeta(meta)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil && i >= len(t.seen):
		err = fmt.Errorf("job %d arrived, which was never created", i)
		fallthrough
	case err != nil:
		t.err = err
		return
	case t.seen[i]:
		t.twice++
		return
	}
	t.seen[i] = true
	t.last = now
	if now.Before(due) {
		t.early++
	}
	t.late = append(t.late, now.Sub(due))
	if t.onTime != nil {
		t.onTime(now.Sub(due))
	}
	if t.left--; t.left == 0 {
		close(t.all)
	}
}

// wait returns when all have arrived. It fails at the limit, and on a repeat or an early
// arrival.
func (t *tally) wait(ctx context.Context, limit time.Duration) error {
	select {
	case <-t.all:
	case <-time.After(limit):
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return t.err
	}
	if t.left > 0 || t.twice > 0 || t.early > 0 {
		return fmt.Errorf("of %d jobs %d did not arrive, %d did twice, %d early", len(t.seen), t.left, t.twice, t.early)
	}
	return ctx.Err()
}

// lateness returns p50, p99 and the maximum, in milliseconds.
func (t *tally) lateness() figures {
	t.mu.Lock()
	defer t.mu.Unlock()
	return spread(t.late)
}

// burst returns the rate per second from due to the last arrival, and the last arrival's
// lateness in milliseconds.
func (t *tally) burst(due time.Time) figures {
	t.mu.Lock()
	defer t.mu.Unlock()
	took := t.last.Sub(due)
	return figures{float64(len(t.late)) / took.Seconds(), inMs(took)}
}
