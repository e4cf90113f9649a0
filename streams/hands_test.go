package streams_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/logtest"
	"belfry/streams"
	"belfry/streams/asset"
)

type lines = logtest.Log

// soon is how often the tests compare everything.
const soon = 50 * time.Millisecond

// Settings that Belfry needs are restored, while it runs and at a start. The operator's
// settings stay.
func TestEditedStreamsAreMended(t *testing.T) {
	t.Parallel()
	log := &lines{}
	cfg := streams.Config{AuditEvery: soon, Log: log.Logger()}
	f := open(t, cfg)
	stop := f.run()
	for _, e := range []struct {
		stream, setting string
		change          func(*jetstream.StreamConfig)
	}{
		{"FIRES", "subjects", func(c *jetstream.StreamConfig) { c.Subjects = []string{"fires.>"} }},
		{"KV_jobs_0", "subjects", func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "extra") }},
		{"FIRES", "retention", func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }},
		{"DEAD", "max_msgs", func(c *jetstream.StreamConfig) { c.MaxMsgs = 5 }},
		{"KV_jobs_0", "max_msgs_per_subject", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 }},
		{"FIRES", "max_msgs_per_subject", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }},
		{"FIRES", "max_msg_size", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 100 }},
		{"KV_jobs_0", "max_age", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }},
		{"KV_jobs_0", "discard", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }},
		{"FIRES", "discard", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew }},
		{"DEAD", "duplicate_window", func(c *jetstream.StreamConfig) { c.Duplicates = time.Second }},
		{"ATTEMPTS", "no_ack", func(c *jetstream.StreamConfig) { c.NoAck = true }},
		{"FIRES", "allow_rollup_hdrs", func(c *jetstream.StreamConfig) { c.AllowRollup = false }},
		{"KV_jobs_0", "allow_direct", func(c *jetstream.StreamConfig) { c.AllowDirect = false }},
		{"FIRES", "allow_atomic", func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false }},
		{"FIRES", "consumer_limits", func(c *jetstream.StreamConfig) { c.ConsumerLimits.MaxAckPending = 5000 }},
		{"FIRES", "sources", func(c *jetstream.StreamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "OTHER"}} }},
	} {
		before := f.config(e.stream)
		f.change(e.stream, e.change)
		eventually(t, e.setting+" of "+e.stream+" is mended", func() bool {
			return len(asset.Differences(f.config(e.stream), before)) == 0
		})
		want := "stream=" + e.stream + " setting=" + e.setting
		eventually(t, "the log says "+want, func() bool { return strings.Contains(log.String(), want) })
	}
	f.change("FIRES", func(c *jetstream.StreamConfig) {
		c.MaxBytes, c.Compression, c.Description = 1<<30, jetstream.S2Compression, "the fires of our team"
		c.Metadata["team"] = "games"
	})
	f.change("KV_gates", func(c *jetstream.StreamConfig) { c.MaxAge, c.Duplicates = time.Minute, time.Minute })
	stop()
	f.change("KV_jobs_0", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 })
	f.reopen(cfg)
	if is := f.config("KV_jobs_0").MaxMsgsPerSubject; is != 1 {
		t.Errorf("after a start the jobs bucket keeps %d of each", is)
	}
	eventually(t, "FIRES refuses what is new once it has max_bytes", func() bool { return f.config("FIRES").Discard == jetstream.DiscardNew })
	is := f.config("FIRES")
	if is.MaxBytes != 1<<30 || is.Compression != jetstream.S2Compression || is.Description != "the fires of our team" || is.Metadata["team"] != "games" {
		t.Errorf("what is the operator's was changed: %+v", is)
	}
	if age := f.config("KV_gates").MaxAge; age != time.Minute {
		t.Errorf("the max_age of the bucket gates is %v, want the operator's", age)
	}
}

// A bucket that was edited to keep history shows old states only until it is mended.
func TestHistoryOfABucketIsCutAgain(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	f.change("KV_jobs_0", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 })
	j := newJob("a", "r", time.Now().Add(time.Hour))
	f.create(j)
	j.Meta = []byte(`{"n":2}`)
	if err := f.Jobs().Update(t.Context(), j, 0); err != nil {
		t.Fatal(err)
	}
	if n := f.count("KV_jobs_0"); n != 2 {
		t.Fatalf("there are %d messages; this test needs a bucket with history", n)
	}
	f.reopen(streams.Config{AuditEvery: soon})
	if n := f.count("KV_jobs_0"); n != 1 {
		t.Errorf("there are %d messages, want 1", n)
	}
	if page, err := f.Jobs().List(t.Context(), job.Query{DB: "db"}); err != nil || len(page.Jobs) != 1 {
		t.Errorf("the list has %d jobs, %v; want 1", len(page.Jobs), err)
	}
}

// Damage that cannot be undone is reported where operators look: a stream that is sealed,
// removed or replaced, or that has a setting which the server does not change back.
func TestHarmThatStaysIsTold(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		harm func(f *fixture)
		want string
	}{
		"sealed":      {func(f *fixture) { f.change("DEAD", func(c *jetstream.StreamConfig) { c.Sealed = true }) }, "the stream DEAD is sealed"},
		"deny_delete": {func(f *fixture) { f.change("DEAD", func(c *jetstream.StreamConfig) { c.DenyDelete = true }) }, "deny_delete is true, not false"},
		"removed": {func(f *fixture) {
			if err := f.js.DeleteStream(f.t.Context(), "ATTEMPTS"); err != nil {
				f.t.Fatal(err)
			}
		}, "the stream ATTEMPTS is gone"},
		"a bucket": {func(f *fixture) {
			if err := f.js.DeleteKeyValue(f.t.Context(), "gates"); err != nil {
				f.t.Fatal(err)
			}
		}, "the stream KV_gates (the bucket gates) is gone"},
		"replaced": {func(f *fixture) {
			if err := f.js.DeleteStream(f.t.Context(), "DEAD"); err != nil {
				f.t.Fatal(err)
			}
			if _, err := f.js.CreateStream(f.t.Context(), jetstream.StreamConfig{Name: "DEAD", Subjects: []string{"dead.>"}}); err != nil {
				f.t.Fatal(err)
			}
		}, "the stream DEAD was replaced by one that is not Belfry's"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &lines{}
			f := open(t, streams.Config{AuditEvery: soon, Log: log.Logger()})
			f.run()
			tt.harm(f)
			eventually(t, "it is not ready, and says why", func() bool {
				err := f.Ready(t.Context())
				return errors.Is(err, job.ErrUnavailable) && strings.Contains(err.Error(), tt.want)
			})
			if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), tt.want) {
				t.Errorf("no ERROR in the log says %q", tt.want)
			}
		})
	}
}

// Nothing is lost while the history of a bucket is cut, even if jobs change meanwhile.
func TestHistoryIsCutBesideWrites(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{AuditEvery: soon})
	f.run()
	const jobs, writers = 200, 8
	f.jobsOf("db", "coll", "r", 0, jobs)
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	defer writing.Wait()
	defer stop()
	for w := range writers {
		writing.Go(func() {
			for i := w; ctx.Err() == nil; i += writers {
				j := newJob(fmt.Sprint(i%jobs), "r", farOff.Add(time.Duration(i)*time.Second))
				j.DB, j.Collection = "db", "coll"
				err := f.Jobs().Update(ctx, j, 0)
				if err != nil && ctx.Err() == nil && !errors.Is(err, job.ErrUnavailable) && !errors.Is(err, job.ErrUnknownOutcome) {
					t.Errorf("change of job %s: %v", j.ID, err)
					return
				}
			}
		})
	}
	for range 3 {
		f.change("KV_jobs_0", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 50 })
		eventually(t, "the history is cut again", func() bool {
			is := f.config("KV_jobs_0")
			return is.MaxMsgsPerSubject == 1 && slices.Equal(is.Subjects, []string{"$KV.jobs_0.>"})
		})
	}
	stop()
	writing.Wait()
	for i := range jobs {
		if r := f.get(job.Key{DB: "db", Collection: "coll", ID: fmt.Sprint(i)}); r.Status != job.Scheduled {
			t.Errorf("job %d is %s", i, r.Status)
		}
	}
}

// A stream whose metadata and description an operator removed is still ours while Belfry
// runs, and is marked again.
func TestUnmarkedStreamIsMarkedAgain(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{AuditEvery: soon})
	f.run()
	eventually(t, "the streams were looked at", func() bool { return f.Looked("DEAD") })
	f.change("DEAD", func(c *jetstream.StreamConfig) { c.Description, c.Metadata = "", nil })
	eventually(t, "it is marked", func() bool { return f.config("DEAD").Metadata["belfry.asset"] == "DEAD" })
	if err := f.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
}
