package streams_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/fault"
	"belfry/internal/job"
	"belfry/internal/natstest"
	"belfry/streams"
	"belfry/streams/setup"
)

// Foreign streams that have a name or a subject of Belfry's are refused by name, before
// anything is touched.
func TestForeignStreamsAreRefused(t *testing.T) {
	t.Parallel()
	for name, foreign := range map[string]jetstream.StreamConfig{
		"DEAD":       {Name: "DEAD", Subjects: []string{"dead.letters"}, MaxAge: time.Hour},
		"FIRES":      {Name: "FIRES", Subjects: []string{"alarms.>"}, Description: "of the fire brigade"},
		"KV_tokens":  {Name: "KV_tokens", Subjects: []string{"$KV.tokens.>"}, MaxMsgsPerSubject: 1},
		"KV_belfry":  {Name: "KV_belfry", Subjects: []string{"$KV.belfry.>"}, MaxMsgsPerSubject: 1},
		"KV_jobs_1":  {Name: "KV_jobs_1", Subjects: []string{"$KV.jobs_1.>"}, MaxMsgsPerSubject: 1},
		"ORDERS":     {Name: "ORDERS", Subjects: []string{"fires.orders.new"}},
		"EVERYTHING": {Name: "EVERYTHING", Subjects: []string{"dead.>"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fixture{t: t, server: natstest.Start(t)}
			f.connect()
			made, err := f.js.CreateStream(t.Context(), foreign)
			if err != nil {
				t.Fatal(err)
			}
			_, err = streams.Open(t.Context(), f.nc, streams.Config{Partitions: 2, Log: slog.New(slog.DiscardHandler)})
			if !errors.Is(err, setup.ErrForeign) || !strings.Contains(err.Error(), "the stream "+name) {
				t.Errorf("start beside %s: %v, want ErrForeign with its name", name, err)
			}
			info, err := made.Info(t.Context())
			if err != nil || info.Config.MaxAge != foreign.MaxAge || info.Config.Metadata["belfry.asset"] != "" {
				t.Errorf("%s is %+v, %v; want it untouched", name, info, err)
			}
			var all []string
			list := f.js.StreamNames(t.Context())
			for n := range list.Name() {
				all = append(all, n)
			}
			if len(all) != 1 || list.Err() != nil {
				t.Errorf("the streams are %q, %v; want only %s", all, list.Err(), name)
			}
		})
	}
}

// Streams of an older version have no metadata. Belfry recognizes them by their
// description, adds the metadata, and leaves everything else as it was.
func TestOlderStreamsAreAdopted(t *testing.T) {
	t.Parallel()
	f := &fixture{t: t, server: natstest.Start(t)}
	f.connect()
	for _, cfg := range []jetstream.KeyValueConfig{
		{Bucket: "belfry", Description: "Belfry: what was fixed at first start, and who is at work", LimitMarkerTTL: time.Minute},
		{Bucket: "gates", Description: "Belfry: what holds routes back for a while", TTL: time.Hour},
		{Bucket: "routes", Description: "Belfry: the routes", LimitMarkerTTL: 24 * time.Hour},
		{Bucket: "tokens", Description: "Belfry: who may use the API"},
	} {
		if _, err := f.js.CreateKeyValue(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	for _, cfg := range []jetstream.StreamConfig{
		{Name: "FIRES", Description: "Belfry: one message per fire", Subjects: []string{"fires.>", "fence.*"}, MaxAge: 72 * time.Hour,
			Duplicates: 100 * time.Millisecond, AllowRollup: true, AllowDirect: true, AllowMsgTTL: true, AllowAtomicPublish: true},
		{Name: "DEAD", Description: "Belfry: what could not be delivered, with the reason", Subjects: []string{"dead.>"}, MaxAge: 30 * 24 * time.Hour, AllowDirect: true},
		{Name: "ATTEMPTS", Description: "Belfry: what became of the tries of jobs", Subjects: []string{"attempts.>"}, MaxAge: 48 * time.Hour,
			MaxMsgsPerSubject: 100, Duplicates: 100 * time.Millisecond, AllowDirect: true, AllowAtomicPublish: true},
		{Name: "ADVISORIES", Description: "Belfry: deliveries that the subscribers of NATS routes exhausted or refused",
			Subjects: []string{"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.FIRES.*", "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.FIRES.*"}, MaxAge: 72 * time.Hour},
		{Name: "KV_jobs_0", Description: "Belfry: every job on its one key, in every state", Subjects: []string{"$KV.jobs_0.>"}, MaxMsgsPerSubject: 1,
			Discard: jetstream.DiscardNew, Duplicates: 100 * time.Millisecond, DenyDelete: true, AllowRollup: true, AllowDirect: true, AllowMsgTTL: true, AllowAtomicPublish: true},
	} {
		if _, err := f.js.CreateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	log := &lines{}
	f.reopen(streams.Config{Log: log.Logger()})
	if s := log.String(); strings.Contains(s, "not as it should be") {
		t.Errorf("the log of a start on what an older version made says\n%s", s)
	}
	for _, name := range []string{"KV_belfry", "KV_gates", "KV_routes", "KV_tokens", "FIRES", "DEAD", "KV_jobs_0", "ATTEMPTS", "ADVISORIES"} {
		s, err := f.js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.CachedInfo().Config.Metadata["belfry.asset"]; got != name {
			t.Errorf("the metadata of %s says %q", name, got)
		}
	}
	f.run()
	f.route("r", job.NATS)
	f.create(newJob("0", "r", time.Now()))
	f.firedOnce(1)
}

// Without the number of partitions a start would look for jobs in the wrong buckets. So
// the number is found from the manifest, or otherwise from the existing buckets.
func TestPartitionsThatAreGone(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{Partitions: 4})
	kv, err := f.js.KeyValue(t.Context(), "belfry")
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range [][]string{{"partitions"}, {"partitions", "manifest"}} {
		for _, key := range keys {
			if err := kv.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		f.reopen(streams.Config{Partitions: 2})
		if e, err := kv.Get(t.Context(), "partitions"); err != nil || string(e.Value()) != "4" {
			t.Errorf("after a start with 2 partitions over 4 jobs buckets, without the keys %v: %v, %v; want 4", keys, e, err)
		}
	}
	f.reopen(streams.Config{Partitions: 4, AuditEvery: 50 * time.Millisecond})
	stop := f.run()
	for _, value := range []string{"3", "garbage", ""} {
		for _, key := range []string{"partitions", "manifest"} {
			if _, err := kv.PutString(t.Context(), key, value); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "the number of partitions and the manifest are written down again", func() bool {
			e, err := kv.Get(t.Context(), "partitions")
			m, failed := kv.Get(t.Context(), "manifest")
			return err == nil && failed == nil && string(e.Value()) == "4" && strings.Contains(string(m.Value()), `"KV_jobs_3"`)
		})
	}
	stop()
	f.reopen(streams.Config{})
	f.put("belfry", "partitions", "5")
	f.refused(streams.Config{RecreateMissing: true}, fault.PartitionsDiffer, "")
	f.put("belfry", "partitions", "4")
	f.reopen(streams.Config{})
}
