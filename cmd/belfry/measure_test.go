package main

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// few returns a t.Errorf that shows the first ten faults and counts the others,
// for tests of thousands of jobs. It is safe for concurrent use.
func few(t *testing.T) func(format string, args ...any) {
	const shown = 10
	var faults atomic.Int64
	t.Cleanup(func() {
		if more := faults.Load() - shown; more > 0 {
			t.Errorf("and %d more like these", more)
		}
	})
	return func(format string, args ...any) {
		t.Helper()
		if faults.Add(1) <= shown {
			t.Errorf(format, args...)
		}
	}
}

// lateness returns how late each job's first request was, in order.
func lateness(t *testing.T, jobs []plannedJob, got map[string][]post) []time.Duration {
	t.Helper()
	var late []time.Duration
	for _, j := range jobs {
		if posts := got[j.id]; len(posts) > 0 {
			late = append(late, posts[0].at.Sub(j.due))
		}
	}
	slices.Sort(late)
	if len(late) > 0 && late[0] < 0 {
		t.Errorf("a job arrived %v before its time", -late[0])
	}
	return late
}

// p99 returns the 99th percentile of sorted durations, 0 of none.
func p99(sorted []time.Duration) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*99-1)/100]
}
