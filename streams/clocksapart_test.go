package streams_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/internal/logtest"
	"belfry/internal/metrics/metricstest"
	"belfry/streams"
)

// Nodes notice when their clocks, or the server's, are apart, whichever is wrong. They
// say nothing about clocks that agree.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{Partitions: 4})
	type watched struct {
		ahead    time.Duration // relative to the server's time
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

	// The node still fires, by its own clock.
	f.route("r", job.NATS)
	f.create(newJob("0", "r", time.Now()))
	f.reaches(newJob("0", "r", time.Now()).Key, job.Published)
}
