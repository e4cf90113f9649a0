package delivery_test

import (
	"math"
	"testing"
	"time"

	"belfry/delivery"
	"belfry/internal/job"
)

// TestRetryDelay compares with the table in the comment.
func TestRetryDelay(t *testing.T) {
	t.Parallel()
	tests := []struct {
		attempt           int
		low, middle, high time.Duration
	}{
		{1, 800 * time.Millisecond, time.Second, 1200 * time.Millisecond},
		{2, 2400 * time.Millisecond, 3 * time.Second, 3600 * time.Millisecond},
		{3, 7200 * time.Millisecond, 9 * time.Second, 10800 * time.Millisecond},
		{4, 21600 * time.Millisecond, 27 * time.Second, 32400 * time.Millisecond},
		{5, 64800 * time.Millisecond, 81 * time.Second, 97200 * time.Millisecond},
		{6, 194400 * time.Millisecond, 243 * time.Second, 291600 * time.Millisecond},
		{7, 583200 * time.Millisecond, 729 * time.Second, 874800 * time.Millisecond},
		{8, 1749600 * time.Millisecond, 2187 * time.Second, 2624400 * time.Millisecond},
		{9, 2880 * time.Second, time.Hour, time.Hour},
		{11, 2880 * time.Second, time.Hour, time.Hour},
		{0, 800 * time.Millisecond, time.Second, 1200 * time.Millisecond},
		{math.MinInt, 800 * time.Millisecond, time.Second, 1200 * time.Millisecond},
		{math.MaxInt, 2880 * time.Second, time.Hour, time.Hour},
		{10_000, 2880 * time.Second, time.Hour, time.Hour},
	}
	exact := job.DefaultRetry()
	exact.Jitter = 0
	for _, tt := range tests {
		if got := delivery.RetryDelay(tt.attempt, exact); got != tt.middle {
			t.Errorf("after try %d without jitter: got %v, want %v", tt.attempt, got, tt.middle)
		}
		for range 100 {
			if got := delivery.RetryDelay(tt.attempt, job.DefaultRetry()); got < tt.low || got > tt.high {
				t.Errorf("after try %d: got %v, want %v to %v", tt.attempt, got, tt.low, tt.high)
			}
		}
	}
}

// The number of a try stands in a header, which may say anything.
func TestRetryDelayOfAnyNumber(t *testing.T) {
	t.Parallel()
	p := job.RetryPolicy{Schedule: []time.Duration{time.Second, time.Minute}}
	for attempt, want := range map[int]time.Duration{math.MinInt: time.Second, -1: time.Second, 0: time.Second, 1: time.Second, 2: time.Minute, 3: time.Minute, math.MaxInt: time.Minute} {
		if got := delivery.RetryDelay(attempt, p); got != want {
			t.Errorf("after try %d of a schedule: got %v, want %v", attempt, got, want)
		}
	}
}

func TestRetryDelayFirstOverMax(t *testing.T) {
	t.Parallel()
	p := job.RetryPolicy{MaxAttempts: 3, First: time.Hour, Multiplier: 3, Max: time.Minute}
	for attempt := 1; attempt <= 3; attempt++ {
		if got := delivery.RetryDelay(attempt, p); got != time.Minute {
			t.Errorf("after try %d of %+v: got %v, want %v", attempt, p, got, time.Minute)
		}
	}
}

func TestRetryAfterHeader(t *testing.T) {
	t.Parallel()
	now := time.Date(2022, 11, 5, 14, 42, 22, 0, time.UTC)
	const day = 24 * time.Hour
	for _, tt := range []struct {
		header string
		want   time.Duration
	}{
		{"120", 2 * time.Minute}, {"0", 0}, {"86400", day},
		{"Sat, 05 Nov 2022 14:44:22 GMT", 2 * time.Minute},
		{"Saturday, 05-Nov-22 14:44:22 GMT", 2 * time.Minute}, // the two forms that RFC 9110 calls obsolete
		{"Sat Nov  5 14:44:22 2022", 2 * time.Minute},
		{"Sat, 05 Nov 2022 14:00:00 GMT", 0},                                                        // past
		{"86401", day}, {"99999999999999999999999999", day}, {"Sat, 05 Nov 9999 14:44:22 GMT", day}, // absurd
		{"", 0}, {"-1", 0}, {"+5", 0}, {"1.5", 0}, {"soon", 0}, {"120, 240", 0}, {"0x10", 0}, {"\u0661", 0},
	} {
		for status, want := range map[int]time.Duration{429: tt.want, 503: tt.want, 500: 0, 301: 0, 200: 0} {
			if got := delivery.RetryAfter(status, tt.header, now); got != want {
				t.Errorf("status %d with Retry-After %q: got %v, want %v", status, tt.header, got, want)
			}
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, header := range []string{"120", "Sat, 05 Nov 2022 14:44:22 GMT", "-1", "99999999999999999999"} {
		f.Add(header)
	}
	now := time.Date(2022, 11, 5, 14, 42, 22, 0, time.UTC)
	f.Fuzz(func(t *testing.T, header string) {
		if got := delivery.RetryAfter(429, header, now); got < 0 || got > 24*time.Hour {
			t.Errorf("Retry-After %q: got %v", header, got)
		}
	})
}
