package streams_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/fault"
	"belfry/internal/job"
	"belfry/internal/logtest"
	"belfry/streams"
	"belfry/streams/setup"
)

// tryOpen opens a store as the next start would.
func (f *fixture) tryOpen(cfg streams.Config) error {
	f.t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s, err := streams.Open(f.t.Context(), f.nc, cfg)
	if err == nil {
		f.Store = s
	}
	return err
}

// refused checks that a start is refused with that fault of that stream, and that it
// changed nothing.
func (f *fixture) refused(cfg streams.Config, words, stream string) {
	f.t.Helper()
	before := f.names()
	err := f.tryOpen(cfg)
	var refusal *setup.Refusal
	if !errors.As(err, &refusal) || refusal.Fault != words || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), stream) ||
		!strings.Contains(err.Error(), "nothing was changed") {
		f.t.Fatalf("opened with %v, want a refusal: %s, %s", err, words, stream)
	}
	if after := f.names(); !slices.Equal(before, after) {
		f.t.Errorf("the refused start left %v, before it there was %v", after, before)
	}
}

func (f *fixture) names() []string {
	f.t.Helper()
	list := f.js.StreamNames(f.t.Context())
	var names []string
	for name := range list.Name() {
		names = append(names, name)
	}
	if err := list.Err(); err != nil {
		f.t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func (f *fixture) drop(streams ...string) {
	f.t.Helper()
	for _, name := range streams {
		if err := f.js.DeleteStream(f.t.Context(), name); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *fixture) belfryKV() jetstream.KeyValue {
	f.t.Helper()
	kv, err := f.js.KeyValue(f.t.Context(), "belfry")
	if err != nil {
		f.t.Fatal(err)
	}
	return kv
}

// inOrder has all streams in the order in which they are created.
var inOrder = []string{"KV_belfry", "KV_gates", "KV_routes", "KV_tokens", "FIRES", "DEAD", "ATTEMPTS", "ADVISORIES", "KV_jobs_0", "KV_jobs_1"}

// No stream that existed is recreated, whichever it is, unless an operator says so; then
// the next start is an ordinary one.
func TestLostStreamIsRefused(t *testing.T) {
	t.Parallel()
	for _, name := range inOrder {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := streams.Config{Partitions: 2}
			f := open(t, cfg)
			f.route("r", job.NATS)
			f.create(newJob("1", "r", time.Now().Add(time.Hour)))
			f.drop(name)
			words := fault.StreamMissing
			if name == "KV_belfry" {
				words = fault.ManifestKeyGone
			}
			f.refused(cfg, words, name)
			f.refused(cfg, words, name) // it stays that way
			again := cfg
			again.RecreateMissing = true
			again.Partitions = 3 // the number is fixed
			if err := f.tryOpen(again); err != nil {
				t.Fatalf("with --recreate-missing: %v", err)
			}
			if err := f.tryOpen(cfg); err != nil {
				t.Errorf("the start after that: %v", err)
			}
			if got := f.names(); !slices.Equal(got, slices.Sorted(slices.Values(inOrder))) {
				t.Errorf("there are %v, want %v", got, inOrder)
			}
			if got := f.Warnings(); len(got) > 0 {
				t.Errorf("warnings: %v, want none of what was made anew", got)
			}
		})
	}
}

// The store of a Belfry without manifests is taken over if it is whole.
func TestWithoutManifest(t *testing.T) {
	t.Parallel()
	cfg := streams.Config{Partitions: 2}
	f := open(t, cfg)
	f.route("r", job.NATS)
	f.create(newJob("1", "r", time.Now().Add(time.Hour)))
	if err := f.belfryKV().Purge(t.Context(), "manifest"); err != nil {
		t.Fatal(err)
	}
	f.reopen(cfg)
	f.drop("DEAD")
	f.refused(cfg, fault.StreamMissing, "DEAD") // the manifest was written anew
	if err := f.belfryKV().Purge(t.Context(), "manifest"); err != nil {
		t.Fatal(err)
	}
	f.refused(cfg, fault.StreamMissing, "DEAD") // though nothing says that it existed
}

// A first start that a crash cut short goes on, wherever that was: rows 27 to 29.
func TestCutShortFirstStart(t *testing.T) {
	t.Parallel()
	for made := range inOrder {
		for _, announced := range []bool{false, true} {
			f := open(t, streams.Config{Partitions: 2})
			if announced {
				if err := f.Store.Unmake(t.Context()); err != nil {
					t.Fatal(err)
				}
			} else if err := f.belfryKV().Purge(t.Context(), "manifest"); err != nil {
				t.Fatal(err)
			}
			f.drop(inOrder[made+1:]...)
			if err := f.tryOpen(streams.Config{Partitions: 2}); err != nil {
				t.Errorf("with %v made, announced %v: %v", inOrder[:made+1], announced, err)
			}
			f.server.Stop()
		}
	}
}

// A stream that is new in this version is created.
func TestNewStreamOfALaterVersion(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	if err := f.Store.ForgetMade(t.Context(), "ADVISORIES"); err != nil {
		t.Fatal(err)
	}
	f.drop("ADVISORIES")
	if err := f.tryOpen(streams.Config{}); err != nil {
		t.Fatal(err)
	}
	f.drop("ADVISORIES")
	f.refused(streams.Config{}, fault.StreamMissing, "ADVISORIES")
}

func TestExistingData(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	all := f.names()
	f.drop(all...)
	f.refused(streams.Config{ExistingData: true, Place: "nats://example"}, fault.NothingThere, "nats://example")
	log := &logtest.Log{}
	if err := f.tryOpen(streams.Config{Log: log.Logger(), Place: "nats://example"}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), fault.NewStore); n != 1 {
		t.Errorf("said %d times that the store is new:\n%s", n, log)
	}
	if err := f.tryOpen(streams.Config{ExistingData: true, Log: log.Logger()}); err != nil {
		t.Errorf("with existing data: %v", err)
	}
	if n := strings.Count(log.String(), fault.NewStore); n != 1 {
		t.Errorf("said %d times that the store is new:\n%s", n, log)
	}
}

// Somebody else's stream says nothing about Belfry's streams.
func TestForeignStreamIsNoTrace(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.drop(f.names()...)
	if _, err := f.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}}); err != nil {
		t.Fatal(err)
	}
	if err := f.tryOpen(streams.Config{}); err != nil {
		t.Fatal(err)
	}
}

// The number of partitions decides where a job is: a lost key does not change it.
func TestPartitionsKeyLost(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{Partitions: 2})
	for _, keys := range [][]string{{"partitions"}, {"partitions", "manifest"}} {
		for _, key := range keys {
			if err := f.belfryKV().Purge(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.tryOpen(streams.Config{Partitions: 5}); err != nil {
			t.Fatal(err)
		}
		if e, err := f.belfryKV().Get(t.Context(), "partitions"); err != nil || string(e.Value()) != "2" {
			t.Errorf("without %v: the key is %v, %v, want 2", keys, e, err)
		}
	}
}

func TestBadManifest(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	e, err := f.belfryKV().Get(t.Context(), "manifest")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"x", "{}", strings.Replace(string(e.Value()), "KV_jobs_0", "KV_jobs_1", 1), string(e.Value()[:len(e.Value())/2]),
	} {
		if _, err := f.belfryKV().PutString(t.Context(), "manifest", text); err != nil {
			t.Fatal(err)
		}
		f.refused(streams.Config{}, fault.ManifestBad, "the key manifest of the bucket belfry")
	}
}

// A stream that is behind its recorded position is reported, until somebody accepts
// exactly that damage.
func TestStreamFellBehind(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	for _, id := range []string{"1", "2", "3"} {
		f.create(newJob(id, "r", time.Now().Add(time.Hour)))
	}
	f.keep()
	info, err := f.js.Stream(t.Context(), "KV_jobs_0")
	if err != nil {
		t.Fatal(err)
	}
	f.drop("KV_jobs_0")
	if _, err := f.js.CreateStream(t.Context(), info.CachedInfo().Config); err != nil {
		t.Fatal(err)
	}
	log := &logtest.Log{}
	cfg := streams.Config{Log: log.Logger()}
	for range 2 { // it stays that way
		f.reopen(cfg)
		if w := f.Warnings(); len(w) != 1 || !strings.Contains(w[0], "KV_jobs_0: another stream of that name") {
			t.Fatalf("warnings: %q", w)
		}
	}
	if n := strings.Count(log.String(), fault.Damaged); n != 2 {
		t.Errorf("told %d times, want at each of 2 starts:\n%s", n, log)
	}
	f.keep()
	_, id, _ := strings.Cut(strings.TrimSuffix(f.Warnings()[0], ")"), "--accept-damage ")
	cfg.AcceptDamage = "00000000"
	f.reopen(cfg)
	if w := f.Warnings(); len(w) != 1 {
		t.Errorf("another number was accepted: %q", w)
	}
	cfg.AcceptDamage = id
	f.reopen(cfg)
	f.reopen(streams.Config{})
	if w := f.Warnings(); len(w) > 0 {
		t.Errorf("after it was accepted: %q", w)
	}
}

// keep records how far the streams are, as a clean stop does.
func (f *fixture) keep() {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	cancel()
	if err := f.Keep(ctx); err != nil {
		f.t.Fatal(err)
	}
}

// Several processes may create a store at the same moment.
func TestFirstStartsSideBySide(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.drop(f.names()...)
	errs := make(chan error)
	for range 4 {
		nc := f.server.Connect()
		go func() {
			_, err := streams.Open(t.Context(), nc, streams.Config{Partitions: 2, Log: slog.New(slog.DiscardHandler)})
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestCountJobs(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{Partitions: 2})
	f.run() // leaves marks
	f.route("r", job.NATS)
	for _, id := range []string{"1", "2", "3"} {
		f.create(newJob(id, "r", time.Now().Add(time.Hour)))
	}
	if n, err := f.CountJobs(t.Context()); err != nil || n != 3 {
		t.Errorf("%d jobs, %v, want 3", n, err)
	}
}
