package streams_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"belfry/internal/job"
	"belfry/internal/logtest"
	"belfry/internal/metrics/metricstest"
	"belfry/streams"
)

// Nodes notice that their clocks, and the server's, are apart, whichever of them
// is wrong, and say nothing of clocks that agree.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{Partitions: 4})
	type watched struct {
		ahead    time.Duration // of the time that the server has
		warnings func() []string
		log      logtest.Log
		value    func(string) float64
	}
	nodes := map[string]*watched{"right": {}, "right, too": {ahead: 20 * time.Millisecond}, "wrong": {ahead: 3 * time.Second}}
	for _, n := range nodes {
		m := metricstest.New()
		s, err := streams.Open(t.Context(), f.server.Connect(), streams.Config{
			Partitions: 4, Log: n.log.Logger(), Metrics: m.Streams,
			Now: func() time.Time { return time.Now().Add(n.ahead) },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); s.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-ended })
		n.warnings = s.Warnings
		n.value = func(series string) float64 { return metricstest.Value(t, m, series) }
	}
	says := func(n *watched, want ...string) bool {
		got := n.warnings()
		if len(got) != len(want) {
			return false
		}
		for i, part := range want {
			if !strings.Contains(got[i], part) {
				return false
			}
		}
		return true
	}
	wrong := nodes["wrong"]
	eventually(t, "the wrong node says so of all others", func() bool {
		return says(wrong, "the clock of node ", "the clock of node ", "the clock of the NATS server is 3s behind this node's")
	})
	about := func(got float64, want time.Duration) bool {
		return time.Duration(got*float64(time.Second)).Round(time.Second) == want
	}
	for name, n := range nodes {
		if n == wrong {
			continue
		}
		eventually(t, "the node that is "+name+" says so of the wrong one alone", func() bool {
			return says(n, " ahead of this node's, give or take")
		})
		eventually(t, "it shows it", func() bool {
			return about(n.value("belfry_clock_node_ahead_seconds"), 3*time.Second) && about(n.value("belfry_clock_nats_ahead_seconds"), 0)
		})
		if got := strings.Count(n.log.String(), "a clock differs from ours"); got != 1 {
			t.Errorf("the node that is %s logs %d differences, want 1", name, got)
		}
	}
	if !about(wrong.value("belfry_clock_node_ahead_seconds"), -3*time.Second) || !about(wrong.value("belfry_clock_nats_ahead_seconds"), -3*time.Second) {
		t.Error("the wrong node does not show that all others are 3 s behind")
	}
	if got := strings.Count(wrong.log.String(), "a clock differs from ours"); got != 3 {
		t.Errorf("the wrong node logs %d differences, want 3", got)
	}

	// It still fires, by its own clock.
	f.route("r", job.NATS)
	f.create(newJob("0", "r", time.Now()))
	f.reaches(newJob("0", "r", time.Now()).Key, job.Published)
}

// The estimate is the middle of the fastest heartbeat, whichever comes first, its
// answer or its record; a clock that is set meanwhile spoils none.
func TestClockEstimate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return now.Add(time.Duration(ms) * time.Millisecond) }
	c := streams.NewClocks("us", nil)
	if _, _, known := c.Server(); known {
		t.Error("there is an estimate before a heartbeat")
	}
	c.Answered(1, at(0), at(40))
	c.Brought(1, at(520))
	check := func(ahead, err time.Duration) {
		t.Helper()
		if a, e, _ := c.Server(); a != ahead || e != err {
			t.Errorf("the server is %v ahead, give or take %v; want %v and %v", a, e, ahead, err)
		}
	}
	check(500*time.Millisecond, 20*time.Millisecond)
	c.Brought(2, at(1504))
	c.Answered(2, at(1000), at(1008))
	check(500*time.Millisecond, 4*time.Millisecond)
	c.Answered(3, at(2000), at(1000)) // the clock was set back meanwhile
	c.Brought(3, at(2500))
	check(500*time.Millisecond, 4*time.Millisecond)
	for i := range 10 { // it stays so, and what was known before is forgotten
		c.Brought(uint64(4+i), at(9012+1000*i))
		c.Answered(uint64(4+i), at(7000+1000*i), at(7024+1000*i))
	}
	check(2*time.Second, 12*time.Millisecond)
}

func TestClocksOfOtherNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log logtest.Log
		c := streams.NewClocks("us", log.Logger())
		now := time.Now()
		c.Answered(1, now, now.Add(2*time.Millisecond))
		c.Brought(1, now.Add(time.Millisecond)) // the server agrees
		report := func(node, data string) {
			c.Heard(node, []byte(data))
			c.Look()
		}
		warns := func(n int) {
			t.Helper()
			if got := c.Warnings(); len(got) != n {
				t.Errorf("it warns of %q, want %d of them", got, n)
			}
		}
		for _, garbage := range []string{"", "x", "1", "1 x", "99999999999999999999 1", "3000000000 -1"} {
			report("garbage", garbage)
		}
		report("us", "3000000000 1")        // what we said ourselves
		report("close", "90000000 1000000") // 90 ms
		report("unsure", "3000000000 2950000000")
		warns(0)
		report("far", "3000000000 1000000") // it sees the server 3 s ahead of itself
		warns(1)
		if got := c.Warnings()[0]; !strings.HasPrefix(got, "the clock of node far is 3s behind this node's, give or take 2ms; ") {
			t.Errorf("it says %q", got)
		}
		for range 1000 { // 25 minutes
			time.Sleep(1500 * time.Millisecond)
			report("far", "3000000000 1000000")
		}
		if got := strings.Count(log.String(), "a clock differs from ours"); got != 3 {
			t.Errorf("in 25 minutes it is logged %d times, want 3", got)
		}
		time.Sleep(time.Minute) // without a report: it is gone
		c.Look()
		warns(0)
		report("far", "3000000000 1000000")
		warns(1)
		c.Left("far")
		c.Look()
		warns(0)
	})
}
