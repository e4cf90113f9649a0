package due_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/streams/due"
)

func TestQueueCounts(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_000_000)
	open := due.GateState{Out: 1000}
	a := newQueueWith(func(k job.RouteKey) due.GateState { return open })
	rec := func(seq uint64, status job.Status, in time.Duration) job.Record {
		return job.Record{
			Arming: job.Arming{Job: job.Job{Key: job.Key{DB: "d", Collection: "c", ID: fmt.Sprint(seq)}, Route: "r"}},
			Status: status, Due: now.Add(in).UnixMilli(), Revision: seq,
		}
	}
	var log []string
	check := func(step string, want string) {
		t.Helper()
		c := a.Counts(now)
		got := fmt.Sprintf("%d waiting, %d overdue, %d held, %d firing", c.Waiting, c.Overdue, c.Held, c.Firing)
		if log = append(log, step); got != want {
			t.Errorf("after %s: %s; want %s", strings.Join(log, ", "), got, want)
		}
	}
	check("nothing", "0 waiting, 0 overdue, 0 held, 0 firing")
	a.Observe(rec(1, job.Scheduled, time.Hour))
	a.Observe(rec(2, job.Retrying, -time.Hour))
	a.Observe(rec(3, job.Scheduled, 0))
	check("three that wait", "3 waiting, 2 overdue, 0 held, 0 firing")
	a.Observe(rec(4, job.Firing, time.Hour))
	check("one that fires", "3 waiting, 2 overdue, 0 held, 1 firing")
	a.Observe(rec(5, job.Delivered, 0))
	check("a finished one", "3 waiting, 2 overdue, 0 held, 1 firing")
	for _, seq := range a.ToLoad(now) {
		r := rec(seq, job.Scheduled, -time.Hour)
		a.SetLoaded(r, now)
	}
	check("loading", "3 waiting, 2 overdue, 0 held, 1 firing")
	a.ToFire(now, 1)
	check("claiming one", "3 waiting, 1 overdue, 0 held, 1 firing")
	open = due.GateState{}
	a.ToFire(now, 1)
	check("parking one behind a full gate", "3 waiting, 1 overdue, 0 held, 1 firing")
	open.Held = true
	check("a pause", "3 waiting, 0 overdue, 1 held, 1 firing")
}
