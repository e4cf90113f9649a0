package streams_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/logtest"
	"belfry/streams"
)

// bigJob is a job whose fire takes some KiB.
func bigJob(id, route string, due time.Time) job.Job {
	j := newJob(id, route, due)
	j.Meta = []byte(`"` + strings.Repeat("x", 4<<10) + `"`)
	return j
}

// Acked fires are removed before FIRES is full, so that they never keep others from
// firing. Unacked fires stay, and the removal is not mistaken for one by somebody else.
func TestAckedFiresMakeRoom(t *testing.T) {
	t.Parallel()
	log := new(logtest.Log)
	f := open(t, streams.Config{AuditEvery: soon, Log: log.Logger()})
	f.MakeRoomAfter(200 * time.Millisecond)
	f.run()
	f.route("read", job.NATS)
	f.route("unread", job.NATS)
	f.edit(streams.FiresStream, func(cfg *jetstream.StreamConfig) { cfg.MaxBytes = 256 << 10 })
	eventually(t, "FIRES refuses what is new once it is full", func() bool { return f.config(streams.FiresStream).Discard == jetstream.DiscardNew })
	const unread, all, batch = 3, 180, 10 // three times as much as there is room for
	for n := range unread {
		f.create(bigJob(fmt.Sprint("unread", n), "unread", time.Now()))
	}
	c, err := f.js.Consumer(t.Context(), streams.FiresStream, "db_read")
	if err != nil {
		t.Fatal(err)
	}
	messages, err := c.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	for n := range all {
		f.create(bigJob(fmt.Sprint("read", n), "read", time.Now()))
		if (n+1)%batch != 0 {
			continue
		}
		for range batch {
			m, err := messages.Next(jetstream.NextMaxWait(20 * time.Second))
			if err != nil {
				t.Fatalf("%d fires came, and then: %v", n+1-batch, err)
			}
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "FIRES takes writes", func() bool { return f.Ready(t.Context()) == nil })
	if n := f.firesOf("unread"); n != unread {
		t.Errorf("%d fires are left that nobody has acked, want %d", n, unread)
	}
	eventually(t, "FIRES was looked at", func() bool { return f.SawFires(t.Context()) })
	if said := log.String(); removedLine.MatchString(said) || strings.Contains(said, "fired again") || !strings.Contains(said, "acked fires were removed from FIRES before their age") {
		t.Errorf("the log:\n%s", said)
	}
}

// A stream that an operator has set to drop its oldest messages goes on doing so while it
// is full, with a log line. It refuses new messages as soon as it has room.
func TestFullRingsAreLeftAlone(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	for stream, subject := range map[string]string{streams.FiresStream: "fires.db.gone", streams.DeadStream: "dead.db.gone"} {
		f.edit(stream, func(cfg *jetstream.StreamConfig) { cfg.MaxBytes = 64 << 10 })
		for range 40 {
			if _, err := f.js.Publish(t.Context(), subject, make([]byte, 4<<10)); err != nil {
				t.Fatal(err)
			}
		}
	}
	log := new(logtest.Log)
	f.reopen(streams.Config{AuditEvery: soon, Log: log.Logger()})
	f.run()
	f.compared()
	for _, stream := range []string{streams.FiresStream, streams.DeadStream} {
		if got := f.config(stream).Discard; got != jetstream.DiscardOld {
			t.Errorf("%s that is full has discard %v", stream, got)
		}
		if want := "drops its oldest messages, also those that nobody has read"; strings.Count(log.String(), want) != 2 {
			t.Errorf("the log has no word of it:\n%s", log)
		}
	}
	f.route("r", job.NATS)
	j := newJob("a", "r", time.Now())
	f.create(j)
	f.reaches(j.Key, job.Published)
	for _, stream := range []string{streams.FiresStream, streams.DeadStream} {
		s, err := f.js.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, stream+" refuses what is new once it is full", func() bool { return f.config(stream).Discard == jetstream.DiscardNew })
	}
}

// A jobs bucket with a max_bytes keeps room for its jobs to end: when no new job is
// accepted, all existing jobs fire, and can be cancelled.
func TestJobsBucketKeepsRoom(t *testing.T) {
	t.Parallel()
	log := new(logtest.Log)
	var clock clock
	f := open(t, streams.Config{Log: log.Logger(), Now: clock.now})
	f.run()
	f.route("r", job.NATS)
	f.edit("KV_jobs_0", func(cfg *jetstream.StreamConfig) { cfg.MaxBytes = 96 << 10 })
	eventually(t, "the limit is seen", func() bool { return f.SpareOf(0) > 0 })
	due := clock.now().Add(time.Hour)
	var all []job.Job
	eventually(t, "Ready says that no new jobs are taken", func() bool {
		for {
			j := newJob(fmt.Sprint(len(all)), "r", due)
			err := f.Jobs().Create(t.Context(), j)
			if err == nil {
				all = append(all, j)
				continue
			}
			if !errors.Is(err, job.ErrUnavailable) {
				t.Fatal(err)
			}
			break
		}
		err := f.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), "no new job is stored in KV_jobs_0")
	})
	if len(all) < 50 {
		t.Errorf("only %d jobs are taken", len(all))
	}
	for _, j := range all[:len(all)/2] {
		if err := f.Jobs().Cancel(t.Context(), j.Key, 0); err != nil {
			t.Fatalf("a job cannot be cancelled: %v", err)
		}
	}
	clock.forward(2 * time.Hour)
	for _, j := range all[len(all)/2:] {
		f.reaches(j.Key, job.Published)
	}
	if strings.Contains(log.String(), "writes to a stream do not work") {
		t.Errorf("the log:\n%s", log)
	}
}

// A fire that its subscriber has acked before its job is finished stays: a takeover looks
// for it, and would publish it once more.
func TestFiresOfStandingClaimsStay(t *testing.T) {
	t.Parallel()
	log := new(logtest.Log)
	f := open(t, streams.Config{AuditEvery: soon, Log: log.Logger()})
	f.MakeRoomAfter(200 * time.Millisecond)
	var lifted atomic.Bool
	stands := newJob("stands", "stands", time.Now())
	f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
		if isWrite(m, jobWrites+"coll.stands", job.Published) && !lifted.Load() {
			return nil, nats.ErrNoResponders
		}
		return send(ctx, m)
	})
	f.run()
	f.route("stands", job.NATS)
	f.route("read", job.NATS)
	f.edit(streams.FiresStream, func(cfg *jetstream.StreamConfig) { cfg.MaxBytes = 256 << 10 })
	ack := func(route string, n int) {
		t.Helper()
		c, err := f.js.Consumer(t.Context(), streams.FiresStream, "db_"+route)
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			m, err := c.Next(jetstream.FetchMaxWait(20 * time.Second))
			if err != nil {
				t.Fatal(err)
			}
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.create(stands)
	ack("stands", 1)
	const read = 50 // beyond three quarters
	for n := range read {
		f.create(bigJob(fmt.Sprint("read", n), "read", time.Now()))
	}
	ack("read", read)
	eventually(t, "there is room", func() bool { return f.firesOf("read") < read })
	if is := f.get(stands.Key).Status; is != job.Firing {
		t.Fatalf("the job is %s; this test needs one whose end is not written yet", is)
	}
	if n := f.firesOf("stands"); n != 1 {
		t.Errorf("%d fires of the claim that stands are left, want 1", n)
	}
	lifted.Store(true)
	f.reaches(stands.Key, job.Published)
	if said := log.String(); removedLine.MatchString(said) {
		t.Errorf("the log:\n%s", said)
	}
}
