package timer_test

import (
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/streams/timer"
)

func TestFinisherWaits(t *testing.T) {
	start := time.UnixMilli(1_000_000)
	soon, ripe := start.Add(50*time.Millisecond), start.Add(100*time.Millisecond)
	for _, c := range []struct {
		name        string
		added       int
		meta        int // of each, in bytes
		at          time.Time
		busy, hurry bool
		want        int
	}{
		{"nothing to finish", 0, 0, ripe, false, true, 0},
		{"a young one waits for others", 1, 0, soon, false, false, 0},
		{"one that waited", 1, 0, ripe, false, false, 1},
		{"many need not wait", 500, 0, soon, false, false, 500},
		{"no more than are written at once", 5000, 0, soon, false, false, 1024},
		{"due jobs go first", 5000, 0, ripe, true, false, 0},
		{"so many that memory goes first", 128 << 10, 0, ripe, true, false, 1024},
		{"so large that memory goes first", 65, 1 << 20, ripe, true, false, 65},
		{"nothing may be left", 3, 0, start, true, true, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			var f timer.Finisher
			r := job.Record{Arming: job.Arming{Job: job.Job{Meta: make([]byte, c.meta)}}}
			for range c.added {
				f.Add(r, start)
			}
			got := f.Take(c.at, c.busy, c.hurry)
			if got != c.want {
				t.Errorf("%d of %d are to be finished, want %d", got, c.added, c.want)
			}
			all := 0
			for n := got; !f.Idle(); n = f.Take(ripe, false, true) {
				all += n
				for range n {
					f.Done()
				}
			}
			if all != c.added {
				t.Errorf("%d were taken in all, %d were added", all, c.added)
			}
		})
	}
}

// The loop knows when there is something to finish.
func TestFinisherNext(t *testing.T) {
	var f timer.Finisher
	start := time.UnixMilli(1_000_000)
	if got := f.Next(); !got.IsZero() {
		t.Errorf("without anything to finish the next time is %v, want none", got)
	}
	f.Add(job.Record{}, start)
	f.Add(job.Record{}, start.Add(time.Second))
	if got, want := f.Next(), start.Add(100*time.Millisecond); !got.Equal(want) {
		t.Errorf("the next time is %v, want %v", got, want)
	}
}
