package loglimit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"belfry/internal/loglimit"
)

// limited returns a log behind a handler, and the buffer that its lines reach.
func limited() (*slog.Logger, *loglimit.Handler, *buffer) {
	out := &buffer{}
	h := loglimit.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return slog.New(h), h, out
}

// buffer is a [bytes.Buffer] for more than one goroutine.
type buffer struct {
	mu   sync.Mutex // guards what follows
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *buffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Reset()
}

func TestFloodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _, out := limited()
		ctx := loglimit.Outside(t.Context(), "refusals")
		for i := range 100_000 {
			log.ErrorContext(ctx, fmt.Sprint("refused ", i)) // the message does not matter
		}
		if n := strings.Count(out.String(), "refused"); n != 10 {
			t.Errorf("%d lines of a flood, want 10", n)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if !strings.Contains(out.String(), `level=ERROR msg="log lines were left out" lines=refusals left_out=99990`) {
			t.Errorf("the log does not say how many lines were left out:\n%s", out)
		}
		out.Reset()
		for range 3600 { // an hour
			for range 100 {
				log.ErrorContext(ctx, "refused")
			}
			time.Sleep(time.Second)
		}
		if n := strings.Count(out.String(), "\n"); n > 2*360+10 {
			t.Errorf("%d lines in an hour, want one of the flood and one about it each 10 s", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		out.Reset()
		time.Sleep(time.Hour)
		synctest.Wait()
		if out.String() != "" {
			t.Errorf("after the flood: %s", out)
		}
		log.ErrorContext(ctx, "once more")
		if !strings.Contains(out.String(), "once more") {
			t.Error("a line after the flood is left out")
		}
	})
}

// A flood of one kind hides no line of another kind or another level.
func TestFloodHidesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, h, out := limited()
		for i := range 1000 {
			log.WarnContext(loglimit.Outside(t.Context(), "refusals"), "refused")
			log.With("n", i).Warn("a constant message", "n", i)
		}
		out.Reset()
		log.Error("a constant message")
		log.Warn("the disk is full")
		log.WithGroup("g").Error("the store is gone")
		log.WarnContext(loglimit.Named(t.Context(), "server"), "no quorum")
		if n := strings.Count(out.String(), "\n"); n != 4 {
			t.Errorf("%d lines, want the 4 of other kinds:\n%s", n, out)
		}
		out.Reset()
		h.Flush()
		if !strings.Contains(out.String(), "lines=refusals left_out=990") || !strings.Contains(out.String(), `lines="a constant message" left_out=950`) {
			t.Errorf("at the end the log does not say what was left out:\n%s", out)
		}
	})
}

func TestNeverLeftOut(t *testing.T) {
	log, _, out := limited()
	for range 1000 {
		log.Debug("debug")
		log.InfoContext(loglimit.Always(t.Context()), "audit")
	}
	if n := strings.Count(out.String(), "\n"); n != 2000 {
		t.Errorf("%d lines of debug and audit, want all 2000", n)
	}
}

// An endless number of kinds uses a bounded amount of memory.
func TestManyKinds(t *testing.T) {
	log, _, out := limited()
	for i := range 100_000 {
		log.Error(fmt.Sprint("message ", i))
	}
	if n := strings.Count(out.String(), "\n"); n > 1100 {
		t.Errorf("%d lines of as many kinds, want 1,000 and a few", n)
	}
}

type broken struct{ slog.Handler }

func (broken) Handle(context.Context, slog.Record) error { return errors.New("full") }

func TestErrorsAreReturned(t *testing.T) {
	h := loglimit.New(broken{slog.DiscardHandler})
	if err := h.Handle(t.Context(), slog.NewRecord(time.Now(), slog.LevelError, "x", 0)); err == nil {
		t.Error("a line that could not be written counts as written")
	}
}

func TestOutsideHandler(t *testing.T) {
	_, h, out := limited()
	l := slog.NewLogLogger(loglimit.OutsideHandler(h, "http"), slog.LevelWarn)
	for i := range 1000 {
		l.Printf("http: TLS handshake error from 127.0.0.1:%d: EOF", i)
	}
	if n := strings.Count(out.String(), "\n"); n != 10 {
		t.Errorf("%d lines, want 10", n)
	}
}

// During an outage each cause is logged once a second, with how often it came since
// the last line. At the end a line says how often it came last.
func TestCauseOncePerSecond(t *testing.T) {
	tests := []struct {
		name string
		mark func(context.Context) context.Context
		want int // lines of each cause in a minute
	}{
		{"a message", loglimit.Cause, 60},
		{"a name", func(ctx context.Context) context.Context { return loglimit.Cause(loglimit.Named(ctx, "name")) }, 60},
		// From outside, ten lines are allowed at once, but a second apart, and then
		// one every ten seconds.
		{"from outside", func(ctx context.Context) context.Context { return loglimit.Cause(loglimit.Outside(ctx, "name")) }, 15},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, _, out := limited()
				began := time.Now()
				said := 0
				for time.Since(began) < time.Minute {
					for range 20 { // as many jobs and routes
						log.With("job", said).WarnContext(tt.mark(t.Context()), "couldn't claim", "error", "no responders")
						said++
					}
					time.Sleep(50 * time.Millisecond)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				lines := strings.Split(strings.TrimSpace(out.String()), "\n")
				told, last, shown := 0, time.Time{}, 0
				for _, line := range lines {
					var at, n = stamp(t, line), leftOut(line)
					if gap := at.Sub(last); gap < time.Second {
						t.Errorf("two lines in %v:\n%s", gap, line)
					}
					last = at
					told += n
					if strings.Contains(line, `msg="couldn't claim"`) {
						shown++
					}
				}
				if shown < tt.want-1 || shown > tt.want+1 {
					t.Errorf("%d lines in a minute, want %d", shown, tt.want)
				}
				if shown+told != said {
					t.Errorf("%d lines and %d that they tell of, want %d in all", shown, told, said)
				}
			})
		})
	}
}

// A cause hides no other, and a line without a cause before it says nothing of
// others.
func TestCausesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, h, out := limited()
		for range 10 {
			loglimit.Warn(log, "couldn't claim")
			loglimit.Warn(log, "couldn't load")
			loglimit.Error(log, "couldn't claim")
			loglimit.Info(log, "again")
		}
		if n := strings.Count(out.String(), "\n"); n != 4 || strings.Contains(out.String(), "left_out") {
			t.Errorf("%d lines, want the first of each of 4:\n%s", n, out)
		}
		out.Reset()
		h.Flush()
		if n := strings.Count(out.String(), "left_out=9\n"); n != 4 {
			t.Errorf("the end tells of %d causes, want 4:\n%s", n, out)
		}
		out.Reset()
		time.Sleep(time.Second)
		loglimit.Warn(log, "couldn't claim")
		if strings.Contains(out.String(), "left_out") || !strings.Contains(out.String(), "couldn't claim") {
			t.Errorf("a new line after that: %s", out)
		}
	})
}

// stamp returns when a line was logged.
func stamp(t *testing.T, line string) time.Time {
	t.Helper()
	text, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return at
}

// leftOut returns how many lines were left out, as a line says.
func leftOut(line string) (n int) {
	if _, text, ok := strings.Cut(line, " left_out="); ok {
		_, _ = fmt.Sscan(text, &n)
	}
	return n
}
