package main

import (
	"testing"
	"time"

	"belfry/internal/room"
)

// heapOf is a pressure over a heap of the test, in a time of the test.
type heapOf struct {
	*pressure
	now    time.Time
	live   int64 // what the collector finds
	told   int64 // what it found last
	cycles uint64
	forced int
}

func watchHeap(limit, live int64, jobs *room.Pool) *heapOf {
	w := &heapOf{pressure: newPressure(limit, jobs), now: time.Now(), live: live}
	w.heap = func() (int64, uint64) { return w.told, w.cycles }
	run := func() { w.told, w.cycles = w.live, w.cycles+1 }
	w.collect = func() { w.forced++; run() }
	run()
	return w
}

// pass lets that much time pass, and returns how often a collection was forced.
func (w *heapOf) pass(d time.Duration) (forced int) {
	before := w.forced
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(lookAtMemory)
		w.look(w.now)
	}
	return w.forced - before
}

// begin has n large jobs begin at once, and returns how many did.
func begin(jobs *room.Pool, n int) (begun int) {
	for range n {
		if jobs.TryTake("large", 100<<10) {
			begun++
		}
	}
	return begun
}

// A process whose pending jobs alone take more than 60 % of the limit forces no
// collection for that, and slows no job down.
func TestPendingJobsAreNoPressure(t *testing.T) {
	t.Parallel()
	const limit = 1 << 30
	jobs := room.New(room.Config{Bytes: 64 << 20})
	w := watchHeap(limit, limit/100*75, jobs)
	if n := w.pass(time.Hour); n != 0 {
		t.Errorf("%d collections in an hour without a job under way", n)
	}
	jobs.Force("small", 10<<10)
	if n := w.pass(time.Hour); n != 0 {
		t.Errorf("%d collections in an hour with small jobs under way", n)
	}
	if n := begin(jobs, 50); n != 50 {
		t.Errorf("%d of 50 large jobs begin, want all: the memory is of others", n)
	}
	if n := w.pass(time.Minute); n != 0 {
		t.Errorf("%d collections in a minute with few large jobs", n)
	}
	if n := begin(jobs, 50); n != 50 {
		t.Errorf("%d of 50 more large jobs begin, want all", n)
	}
}

// Large jobs that bring the memory near the limit are slowed down until it is free.
func TestLargeJobsArePressure(t *testing.T) {
	t.Parallel()
	const limit = 1 << 30
	for _, base := range []int64{10, 75} { // percent
		jobs := room.New(room.Config{Bytes: 64 << 20})
		w := watchHeap(limit, limit/100*base, jobs)
		w.pass(time.Second)
		jobs.Force("large", 40<<20)
		w.live = limit / 100 * 85
		if n := w.pass(time.Second); n == 0 {
			t.Errorf("base %d %%: no collection while jobs hold much", base)
		}
		if n := begin(jobs, 50); n > 1 {
			t.Errorf("base %d %%: %d large jobs begin at once near the limit, want 1", base, n)
		}
		w.live = limit / 100 * base
		w.pass(2 * collectLast)
		jobs.Give("large", 40<<20)
		w.pass(lookAtMemory)
		if n := begin(jobs, 50); n != 50 {
			t.Errorf("base %d %%: %d of 50 large jobs begin when the memory is free", base, n)
		}
	}
}

// A collection that changes nothing is not repeated all the time.
func TestCollectionsThatChangeNothingAreRare(t *testing.T) {
	t.Parallel()
	const limit = 1 << 30
	jobs := room.New(room.Config{Bytes: 64 << 20})
	w := watchHeap(limit, limit/100*85, jobs)
	jobs.Force("large", 40<<20)
	w.pass(time.Minute)
	if n := w.pass(10 * time.Minute); n == 0 || n > 60 {
		t.Errorf("%d collections in ten minutes, want one in %v", n, collectLast)
	}
}
