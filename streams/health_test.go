package streams_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/logtest"
	"belfry/internal/metrics/metricstest"
	"belfry/streams"
)

// unwritable waits until Ready says that a stream accepts no writes, and why.
func (f *fixture) unwritable(stream string, words ...string) {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("Ready speaks of %s and %q", stream, words), func() bool {
		err := f.Ready(f.t.Context())
		if err == nil || !errors.Is(err, job.ErrUnavailable) || !strings.Contains(err.Error(), "couldn't write to ") || !strings.Contains(err.Error(), stream) {
			return false
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				return false
			}
		}
		return true
	})
}

// compared waits for the end of an audit, so that the audit leaves a test's edits alone
// for a while.
func (f *fixture) compared() {
	f.t.Helper()
	eventually(f.t, "the audit has seen all streams", func() bool {
		return !slices.ContainsFunc(f.WrittenStreams(), func(stream string) bool { return !f.Looked(stream) })
	})
}

func (f *fixture) edit(stream string, change func(*jetstream.StreamConfig)) {
	f.t.Helper()
	s, err := f.js.Stream(f.t.Context(), stream)
	if err != nil {
		f.t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	change(&cfg)
	if _, err := f.js.UpdateStream(f.t.Context(), cfg); err != nil {
		f.t.Fatal(err)
	}
}

// Each stream whose writes stop shows in Ready with the server's words, in the log once
// and in the metric, even if nothing else is written to it. Everything goes on when the
// cause is gone.
func TestWritesThatAreRefused(t *testing.T) {
	t.Parallel()
	log, m := new(logtest.Log), metricstest.New()
	f := open(t, streams.Config{Metrics: m.Streams, Log: log.Logger()})
	f.ProbeAfter(100 * time.Millisecond)
	f.run()
	f.compared()
	for _, stream := range f.WrittenStreams() {
		if stream == "KV_tokens" { // it has no token
			continue
		}
		series := fmt.Sprintf("belfry_stream_writable{stream=%q}", stream)
		becomes(t, m, series, 1)
		f.edit(stream, func(cfg *jetstream.StreamConfig) { cfg.MaxMsgSize = 1 })
		f.unwritable(stream, "message size exceeds maximum allowed (10054)")
		becomes(t, m, series, 0)
		f.edit(stream, func(cfg *jetstream.StreamConfig) { cfg.MaxMsgSize = -1 })
		eventually(t, "all is ready again", func() bool { return f.Ready(t.Context()) == nil })
		becomes(t, m, series, 1)
	}
	said := log.String()
	for _, line := range []string{"writes to a stream do not work; Belfry goes on by itself when they do", "writes to the stream work again"} {
		if got, want := strings.Count(said, line), len(f.WrittenStreams())-1; got != want {
			t.Errorf("%q is said %d times, want %d", line, got, want)
		}
	}
}

// A stream may be sealed, or replaced by one that others created.
func TestWritesToWhatOthersMade(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.ProbeAfter(100 * time.Millisecond)
	f.run()
	f.compared()
	f.edit(streams.DeadStream, func(cfg *jetstream.StreamConfig) { cfg.Sealed = true })
	f.unwritable(streams.DeadStream, "invalid operation on sealed stream (10109)")

	f.edit(streams.FiresStream, func(cfg *jetstream.StreamConfig) { cfg.Subjects = []string{"elsewhere"} })
	f.unwritable(streams.FiresStream, "nobody takes them")
	if _, why := f.Stuck(t.Context()); why != "" {
		t.Errorf("a stream was edited, which the audit mends, and Stuck says %q", why)
	}
	if err := f.js.DeleteStream(t.Context(), streams.FiresStream); err != nil {
		t.Fatal(err)
	}
	f.unwritable(streams.FiresStream, "nobody takes them")
	if _, why := f.Stuck(t.Context()); why != "" {
		t.Errorf("a stream was removed, which no new start mends, and Stuck says %q", why)
	}
	_, err := f.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "theirs", Subjects: []string{"fires.>", "fence.*"}, AllowRollup: true, AllowMsgTTL: true})
	if err != nil {
		t.Fatal(err)
	}
	f.unwritable(streams.FiresStream, "another stream has taken its place", "theirs")
}

// The probes show in nothing that Belfry reports, and there is at most one of them.
func TestProbesHarmNothing(t *testing.T) {
	t.Parallel()
	log := new(logtest.Log)
	f := open(t, streams.Config{Log: log.Logger()})
	f.ProbeAfter(50 * time.Millisecond)
	stop := f.run()
	ctx := t.Context()
	go func() { _ = f.Tokens().Run(ctx) }()
	if err := f.Tokens().Wait(ctx); err != nil {
		t.Fatal(err)
	}
	probed := func(stream string) (number string) {
		s, err := f.js.Stream(ctx, stream)
		if err != nil {
			t.Fatal(err)
		}
		m, err := s.GetLastMsgForSubject(ctx, streams.ProbeSubject(stream))
		if err != nil {
			return ""
		}
		return m.Header.Get("Belfry-Probe")
	}
	eventually(t, "there are many probes", func() bool { return len(probed(streams.FiresStream)) > 1 })
	for _, stream := range f.WrittenStreams() {
		switch stream {
		case streams.DeadStream, "ATTEMPTS", "KV_tokens", "KV_belfry":
		default:
			eventually(t, "there is a probe in "+stream, func() bool { return probed(stream) != "" })
			if n := len(f.messages(stream, streams.ProbeSubject(stream))); n != 1 {
				t.Errorf("%s has %d probes, want 1", stream, n)
			}
		}
	}
	for _, stream := range []string{streams.DeadStream, "ATTEMPTS"} {
		eventually(t, stream+" has had a probe, and has none", func() bool {
			s, err := f.js.Stream(ctx, stream)
			if err != nil {
				t.Fatal(err)
			}
			state := s.CachedInfo().State
			return state.LastSeq > 0 && state.Msgs == 0
		})
	}
	if on, err := f.Tokens().InUse(); on || err != nil {
		t.Errorf("authentication is on: %v, %v", on, err)
	}
	f.edit("KV_tokens", func(cfg *jetstream.StreamConfig) { cfg.MaxMsgSize = 1 })
	f.unwritable("KV_tokens", "message size exceeds")
	f.edit("KV_tokens", func(cfg *jetstream.StreamConfig) { cfg.MaxMsgSize = -1 })
	eventually(t, "all is ready again", func() bool { return f.Ready(ctx) == nil })
	if n, err := f.CountJobs(ctx); n != 0 || err != nil {
		t.Errorf("%d jobs, %v, want none", n, err)
	}
	if err := f.Backups().Restore(ctx, "b", reader(nil, io.EOF)); err != nil {
		t.Errorf("a restore is refused: %v", err)
	}
	stop()
	said := log.String()
	for _, line := range []string{"is no job", "is no route", "is no token", "left out", "left alone"} {
		if strings.Contains(said, line) {
			t.Errorf("the log has %q:\n%s", line, said)
		}
	}
}
