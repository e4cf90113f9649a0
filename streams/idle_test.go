package streams_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/waittest"
	"belfry/streams"
	"belfry/streams/timer"
)

// Each reason why a timer does not fire is named, with its facts and what to do.
func TestIdleTimerSaysWhy(t *testing.T) {
	t.Parallel()
	const (
		fences = "fence.0"
		marks  = "$KV.jobs_0.epoch"
		lease  = "$KV.belfry.lease.0"
	)
	// fails and hangs make writes to a subject fail or hang.
	fails := func(f *fixture, subject string) {
		f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
			if strings.HasPrefix(m.Subject, subject) {
				return nil, stalled
			}
			return send(ctx, m)
		})
	}
	hangs := func(f *fixture, subject string) (from *atomic.Bool) {
		from = &atomic.Bool{}
		f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
			if strings.HasPrefix(m.Subject, subject) && from.Load() {
				<-f.t.Context().Done()
				return nil, f.t.Context().Err()
			}
			return send(ctx, m)
		})
		return from
	}
	remove := func(f *fixture, bucket string) {
		if err := f.js.DeleteKeyValue(f.t.Context(), bucket); err != nil {
			f.t.Fatal(err)
		}
	}
	tests := []struct {
		name  string
		is    timer.Idle
		facts string
		play  func(f *fixture)
	}{
		{"no run", timer.LeaseUnseen, "", func(*fixture) {}},
		{"routes", timer.WaitsForRoutes, "", func(f *fixture) { remove(f, "routes"); f.begin() }},
		{"breakers", timer.WaitsForBreakers, "", func(f *fixture) { remove(f, "gates"); f.begin() }},
		{"a fence is written", timer.TakesFence, "", func(f *fixture) { hangs(f, fences).Store(true); f.begin() }},
		{"no fence", timer.NoFence, stalled.Error(), func(f *fixture) { fails(f, fences); f.begin() }},
		{"no mark", timer.NoFence, stalled.Error(), func(f *fixture) { fails(f, marks); f.begin() }},
		{"a doubt", timer.InDoubt, "the connection was lost", func(f *fixture) {
			from := hangs(f, fences)
			f.run()
			from.Store(true)
			f.server.Restart()
		}},
		{"a bucket is read", timer.ReadsBucket, "at message ", func(f *fixture) {
			f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
				ack, err := send(ctx, m)
				if m.Subject == marks && err == nil {
					ack.Sequence += 1000 // that many are still to be read
				}
				return ack, err
			})
			f.begin()
		}},
		{"a partition is handed over", timer.HandsOver, "", func(f *fixture) {
			hangs(f, "fires.").Store(true)
			f.route("r", job.NATS)
			f.run()
			f.create(newJob("j", "r", time.Now()))
			f.reaches(newJob("j", "r", time.Now()).Key, job.Firing)
			go f.HandOver(0)
		}},
		{"another owner", timer.Replaced, "", func(f *fixture) {
			f.run()
			m := nats.NewMsg(marks)
			m.Header.Set("Belfry-Epoch", "1000000")
			if _, err := f.js.PublishMsg(f.t.Context(), m); err != nil {
				f.t.Fatal(err)
			}
		}},
		{"another lease", timer.LeaseOfAnother, "last written ", func(f *fixture) {
			kv, err := f.js.KeyValue(f.t.Context(), "belfry")
			if err == nil {
				_, err = kv.PutString(f.t.Context(), "lease.0", "another")
			}
			if err != nil {
				f.t.Fatal(err)
			}
			f.begin()
		}},
		{"no lease", timer.LeaseUnwritten, stalled.Error(), func(f *fixture) { fails(f, lease); f.begin() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := open(t, streams.Config{})
			tt.play(f)
			words, do, _ := strings.Cut(tt.is.Say(tt.facts), " (to do: ")
			waittest.Eventually(t, func() string {
				if why := f.WhyIdle(); !strings.Contains(why, words) || !strings.HasSuffix(why, "(to do: "+do) {
					return "the timer is idle, and says " + why + "; want " + tt.is.Say(tt.facts)
				}
				return ""
			})
		})
	}
}

// A lost connection is named as the cause, not the request that failed because of it.
func TestLostConnectionIsTheCause(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.run()
	f.server.Stop()
	waittest.Eventually(t, func() string {
		if err := f.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "not connected to NATS; Belfry goes on by itself") {
			return fmt.Sprintf("Ready says %v", err)
		}
		return ""
	})
}

// The table has each idle in its place, and no text twice.
func TestIdleTable(t *testing.T) {
	t.Parallel()
	words := map[string]bool{}
	for i, row := range timer.Idles() {
		if int(row.Idle) != i || row.Do == "" || words[row.Words] {
			t.Errorf("row %d is %+v", i, row)
		}
		words[row.Words] = true
	}
	if n := len(words); n != int(timer.LeaseUnwritten)+1 {
		t.Errorf("%d rows, want all %d", n, timer.LeaseUnwritten+1)
	}
	if got := timer.NotOrdered.Say(""); got != "it is about to take its partition (to do: nothing; it takes seconds)" {
		t.Errorf("a timer before its order says %q", got)
	}
}
