package streams_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"belfry/internal/fault"
	"belfry/internal/logtest"
	"belfry/internal/natstest"
	"belfry/internal/waittest"
	"belfry/streams"
)

// The copies follow what the cluster can hold, not what a connection reports: two of
// three servers hold one copy, which is reported, and when the third one is there all
// streams get three.
func TestCopiesGrowWithTheCluster(t *testing.T) {
	t.Parallel()
	cluster := natstest.NewCluster(t, 3, 2)
	f := &fixture{t: t}
	f.join(cluster.Start(0, 1))
	var log logtest.Log
	f.reopen(streams.Config{Log: log.Logger(), KeepEvery: 100 * time.Millisecond, GrowEvery: 100 * time.Millisecond})
	if got := f.copies(); got != "1" {
		t.Errorf("copies of the streams on two of three servers: %s, want 1", got)
	}
	if !strings.Contains(log.String(), fault.FewCopies) || len(f.Warnings()) != 1 || !strings.Contains(f.Warnings()[0], fault.FewCopies) {
		t.Errorf("warnings %q, and the log:\n%s", f.Warnings(), log.String())
	}
	f.reopen(streams.Config{Log: log.Logger()}) // each start reports it
	if n := strings.Count(log.String(), fault.FewCopies); n != 2 {
		t.Errorf("said %d times in 2 starts", n)
	}
	f.reopen(streams.Config{Replicas: 1, Log: log.Logger()})
	if n := strings.Count(log.String(), fault.FewCopies); n != 2 || len(f.Warnings()) > 0 {
		t.Errorf("one copy was asked for: %q", f.Warnings())
	}

	f.reopen(streams.Config{Log: log.Logger(), KeepEvery: 100 * time.Millisecond, GrowEvery: 100 * time.Millisecond})
	defer f.keeps()()
	cluster.Start(2)
	f.haveCopies("3")
}

// A number of copies that is requested later is not ignored.
func TestCopiesOfALaterStart(t *testing.T) {
	t.Parallel()
	cluster := natstest.NewCluster(t, 3, 3)
	f := &fixture{t: t}
	f.join(cluster.Start(0, 1, 2))
	var log logtest.Log
	f.reopen(streams.Config{Replicas: 1})
	f.haveCopies("1")
	f.reopen(streams.Config{Replicas: 3, Log: log.Logger(), KeepEvery: 100 * time.Millisecond, GrowEvery: 100 * time.Millisecond})
	stop := f.keeps() // a stream may have no leader while the start looks
	f.haveCopies("3")
	stop()
	f.reopen(streams.Config{Replicas: 1, Log: log.Logger()})
	f.haveCopies("3")
	if !strings.Contains(log.String(), "more copies than --replicas says") {
		t.Errorf("a start with 1 says nothing:\n%s", log.String())
	}
}

// A single server holds one copy without a warning, unless more are requested.
func TestCopiesOfALoneServer(t *testing.T) {
	t.Parallel()
	var log logtest.Log
	f := open(t, streams.Config{Log: log.Logger()})
	if got := f.copies(); got != "1" || strings.Contains(log.String(), fault.FewCopies) {
		t.Errorf("copies: %s; log:\n%s", got, log.String())
	}
	f.reopen(streams.Config{Replicas: 3, Log: log.Logger()})
	if !strings.Contains(log.String(), fault.FewCopies) {
		t.Errorf("three copies were asked for, and nothing is said:\n%s", log.String())
	}
	f.drop(f.names()...)
	if err := f.tryOpen(streams.Config{Replicas: 3}); err == nil {
		t.Error("a first start with three copies on one server: no error")
	}
}

// join connects to the first of the servers once JetStream has a leader that knows all of
// them.
func (f *fixture) join(servers []*natstest.Server) {
	f.t.Helper()
	f.server = servers[0]
	f.connect()
	eventually(f.t, "JetStream's leader knows all servers", func() bool {
		for _, s := range servers {
			if s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == len(servers) {
				return true
			}
		}
		return false
	})
}

// keeps makes the store complete what a start could not do, until stop is called.
func (f *fixture) keeps() (stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan struct{})
	s := f.Store
	go func() { defer close(done); _ = s.Keep(ctx) }()
	return func() { cancel(); <-done }
}

// haveCopies waits until all streams have that many copies, and the store has no
// warnings. A list of streams leaves out those without a leader, as while they get more
// copies.
func (f *fixture) haveCopies(want string) {
	f.t.Helper()
	waittest.Eventually(f.t, func() string {
		if got, warnings := f.copies(), f.Warnings(); got != want || len(warnings) > 0 {
			return fmt.Sprintf("copies: %s, want %s; warnings %q", got, want, warnings)
		}
		return ""
	})
}

// copies returns the number of copies of the streams, or all numbers if they differ.
func (f *fixture) copies() string {
	f.t.Helper()
	seen := map[int]bool{}
	list := f.js.ListStreams(f.t.Context())
	n := 0
	for info := range list.Info() {
		seen[info.Config.Replicas] = true
		n++
	}
	if err := list.Err(); err != nil || n < 9 {
		return fmt.Sprint(n, " streams ", err)
	}
	for r := range seen {
		if len(seen) == 1 {
			return fmt.Sprint(r)
		}
	}
	return fmt.Sprint(seen)
}
