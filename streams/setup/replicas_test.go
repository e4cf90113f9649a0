package setup_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/natstest"
	"belfry/internal/waittest"
	"belfry/streams/asset"
	"belfry/streams/audit"
	"belfry/streams/setup"
)

// A stream that has no leader when a start asks for more copies is missing from the
// server's list of streams. It gets its copies later.
func TestCopiesOfAnUnlistedStream(t *testing.T) {
	t.Parallel()
	servers := natstest.NewCluster(t, 3, 3).Start(0, 1, 2)
	waittest.Eventually(t, func() string {
		for _, s := range servers {
			if s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == len(servers) {
				return ""
			}
		}
		return "no leader of JetStream knows all servers"
	})
	nc, err := nats.Connect(servers[0].ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	starts := func(js jetstream.JetStream, replicas int) *setup.Setup {
		t.Helper()
		log := slog.New(slog.DiscardHandler)
		s := setup.New(js, audit.NewMender(js, "", log, nil), setup.Config{
			Assets:     asset.Set{HistoryTTL: time.Hour, FiresMaxAge: time.Hour, DeadMaxAge: time.Hour, PresenceTTL: time.Minute},
			Partitions: 1, Replicas: replicas, KeepEvery: 100 * time.Millisecond, GrowEvery: 100 * time.Millisecond,
			Log: log, Now: time.Now,
		})
		if err := s.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	starts(js, 1)
	partial := &listWithout{JetStream: js}
	hidden := asset.Set{}.Names.DeadStream()
	partial.hidden.Store(&hidden)
	s := starts(partial, 3)
	if got := copies(t, js, hidden); got != 1 {
		t.Fatalf("the start gave %s %d copies, though it was not listed", hidden, got)
	}
	partial.hidden.Store(new(string))
	ctx, cancel := context.WithCancel(t.Context())
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		_ = s.Keep(ctx, func(string, uint64, uint64) bool { return false }) // always nil
	}()
	defer func() { cancel(); <-kept }()
	waittest.Eventually(t, func() string {
		if got := copies(t, js, hidden); got != 3 {
			return fmt.Sprintf("%s has %d copies, want 3", hidden, got)
		}
		return ""
	})
}

func copies(t *testing.T, js jetstream.JetStream, stream string) int {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		return 0 // it has no leader
	}
	return s.CachedInfo().Config.Replicas
}

// listWithout removes a stream from the list of streams.
type listWithout struct {
	jetstream.JetStream
	hidden atomic.Pointer[string]
}

func (l *listWithout) ListStreams(ctx context.Context, opts ...jetstream.StreamListOpt) jetstream.StreamInfoLister {
	return listedWithout{l.JetStream.ListStreams(ctx, opts...), *l.hidden.Load()}
}

type listedWithout struct {
	jetstream.StreamInfoLister
	hidden string
}

func (l listedWithout) Info() <-chan *jetstream.StreamInfo {
	seen := make(chan *jetstream.StreamInfo)
	go func() {
		defer close(seen)
		for info := range l.StreamInfoLister.Info() {
			if info.Config.Name != l.hidden {
				seen <- info
			}
		}
	}()
	return seen
}
