package streams_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"belfry/internal/job"
	"belfry/streams"
)

// node is one of several stores that share the work on one server.
type node struct {
	*streams.Store
	stop func()
}

func (f *fixture) node() *node {
	f.t.Helper()
	s, err := streams.Open(f.t.Context(), f.server.Connect(), streams.Config{Partitions: 4, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	n := &node{Store: s, stop: func() { cancel(); <-done }}
	f.t.Cleanup(n.stop)
	return n
}

// The nodes share the partitions. A new node gets its share. When a node leaves, the
// other takes over its partitions: at once if the node says so, and after the lease
// otherwise. Nothing is lost or doubled meanwhile.
func TestNodesShareThePartitions(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{Partitions: 4})
	f.route("r", job.NATS)
	const n = 1200
	start := time.Now().Add(500 * time.Millisecond)
	var g errgroup.Group
	g.SetLimit(32)
	for i := range n {
		g.Go(func() error {
			return f.Jobs().Create(t.Context(), newJob(fmt.Sprint(i), "r", start.Add(time.Duration(i)*8*time.Millisecond)))
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	owns := func(n *node, want int) {
		t.Helper()
		eventually(t, fmt.Sprintf("a node owns %d partitions", want), func() bool { return n.Owned() == want })
	}
	a := f.node()
	owns(a, 4)
	b := f.node()
	owns(a, 2)
	owns(b, 2)
	a.stop()
	owns(b, 4)
	c := f.node()
	owns(b, 2)
	owns(c, 2)
	b.Crash()
	b.Mute()
	owns(c, 4)

	f.firedOnce(n)
}

// A lease and its deletion marker may expire while a node is cut off. Nothing tells the
// node, and it takes the partition all the same.
func TestLeaseIsGoneWithoutAMark(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{Partitions: 4})
	kv, err := f.js.KeyValue(t.Context(), "belfry")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "lease.0", "another"); err != nil {
		t.Fatal(err)
	}
	n := f.node()
	// It tries the partitions in order, so it knows the other node's lease by then.
	eventually(t, "the node owns the others", func() bool { return n.Owned() >= 3 })
	settings, err := f.js.Stream(t.Context(), "KV_belfry")
	if err != nil {
		t.Fatal(err)
	}
	if err := settings.Purge(t.Context(), jetstream.WithPurgeSubject("$KV.belfry.lease.0")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node owns all", func() bool { return n.Owned() == 4 })
}
