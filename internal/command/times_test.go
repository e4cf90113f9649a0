package command

import (
	"testing"
	"time"
)

// here is a zone that is not UTC, and now a time in it.
var (
	here = time.FixedZone("here", 2*3600)
	now  = time.Date(2026, 12, 24, 12, 0, 0, 0, here)
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Duration{
		"0s": 0, "0": 0, "250ms": 250 * time.Millisecond, "10m": 10 * time.Minute, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute,
		"2d": 48 * time.Hour, "1w": 168 * time.Hour, "1w2d3h": 219 * time.Hour, "100000d": 100_000 * 24 * time.Hour,
	} {
		if got, ok := parseDuration(s); !ok || got != want {
			t.Errorf("%q: %v, %v, want %v", s, got, ok, want)
		}
	}
	for _, s := range []string{"", "10", "-5m", "1d-5m", "1d+5m", "+1h", "1.5d", "d", "1d2w", "soon", "100001d", "99999w", "3000000h", "1 d", "1d\n"} {
		if got, ok := parseDuration(s); ok {
			t.Errorf("%q: %v, want it refused", s, got)
		}
	}
}

func TestParseMoment(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Time{
		"now": now, "+10m": now.Add(10 * time.Minute), "-2d": now.Add(-48 * time.Hour),
		"2026-12-24T18:00":              time.Date(2026, 12, 24, 16, 0, 0, 0, time.UTC),
		"2026-12-24 18:00":              time.Date(2026, 12, 24, 16, 0, 0, 0, time.UTC),
		"2026-12-24T18:00:01":           time.Date(2026, 12, 24, 16, 0, 1, 0, time.UTC),
		"2026-12-24 18:00:01.250":       time.Date(2026, 12, 24, 16, 0, 1, 250e6, time.UTC),
		"2026-12-24":                    time.Date(2026, 12, 23, 22, 0, 0, 0, time.UTC),
		"2026-12-24T18:00Z":             time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC),
		"2026-12-24T18:00:00.5Z":        time.Date(2026, 12, 24, 18, 0, 0, 500e6, time.UTC),
		"2026-12-24T18:00:00.123+05:30": time.Date(2026, 12, 24, 12, 30, 0, 123e6, time.UTC),
		"1798135200000":                 time.UnixMilli(1798135200000),
	} {
		if got, ok := parseMoment(s, now); !ok || got != want.UnixMilli() {
			t.Errorf("%q: %d, %v, want %d", s, got, ok, want.UnixMilli())
		}
	}
	for _, s := range []string{"", "tomorrow", "18:00", "24.12.2026", "2026-13-01", "2026-12-24T25:00", "++1h", "+-1h", "1.5"} {
		if got, ok := parseMoment(s, now); ok {
			t.Errorf("%q: %d, want it refused", s, got)
		}
	}
}

func TestTimesAreShown(t *testing.T) {
	t.Parallel()
	for away, want := range map[time.Duration]string{
		0: "now", 250 * time.Millisecond: "in 250ms", 9*time.Minute + 59*time.Second: "in 9m59s", time.Hour: "in 1h",
		-90 * time.Minute: "1h30m ago", 51*time.Hour + 59*time.Minute: "in 2d3h", 24*time.Hour + time.Second: "in 1d", -5 * time.Second: "5s ago",
	} {
		if got := distance(now.Add(away).UnixMilli(), now); got != want {
			t.Errorf("%v from now: %q, want %q", away, got, want)
		}
	}
	if got, want := moment(now.UnixMilli()+5, now), "2026-12-24 12:00:00.005"; got != want {
		t.Errorf("now is shown as %q, want %q", got, want)
	}
	if got := moment(0, now) + distance(0, now) + momentAndDistance(0, now); got != "" {
		t.Errorf("no time is shown as %q", got)
	}
}

// FuzzMoments checks that every time that the tables show can be typed.
func FuzzMoments(f *testing.F) {
	for _, s := range []string{"now", "+10m", "-2d", "2026-12-24T18:00", "1798135200000", "1w2d3h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := parseDuration(s); ok && d < 0 {
			t.Errorf("parseDuration(%q) = %v, want no less than 0", s, d)
		}
		ms, ok := parseMoment(s, now)
		if !ok || ms == 0 || ms < time.Date(0, 1, 1, 0, 0, 0, 0, here).UnixMilli() || ms > time.Date(9999, 12, 31, 0, 0, 0, 0, here).UnixMilli() {
			return
		}
		shown := moment(ms, now)
		if again, ok := parseMoment(shown, now); !ok || again != ms {
			t.Errorf("%q is %d, shown as %q, and that is %d, %v", s, ms, shown, again, ok)
		}
	})
}
