package routes_test

import (
	"slices"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/streams/routes"
)

func TestPermitsFrom(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	ms := func(n int) time.Time { return now.Add(time.Duration(n) * time.Millisecond) }
	for _, c := range []struct {
		name  string
		next  time.Time
		limit job.RateLimit
		n     int
		want  []time.Time
		then  time.Time
	}{
		{"the first", time.Time{}, job.RateLimit{PerSecond: 100}, 3, []time.Time{ms(0), ms(10), ms(20)}, ms(30)},
		{"behind others", ms(25), job.RateLimit{PerSecond: 100}, 2, []time.Time{ms(25), ms(35)}, ms(45)},
		{"after a rest", ms(-5000), job.RateLimit{PerSecond: 100}, 2, []time.Time{ms(0), ms(10)}, ms(20)},
		{"a burst after a rest", ms(-5000), job.RateLimit{PerSecond: 100, Burst: 3}, 4, []time.Time{ms(-20), ms(-10), ms(0), ms(10)}, ms(20)},
		{"no burst without a rest", ms(0), job.RateLimit{PerSecond: 100, Burst: 3}, 2, []time.Time{ms(0), ms(10)}, ms(20)},
		{"slow", ms(0), job.RateLimit{PerSecond: 0.1}, 2, []time.Time{ms(0), ms(10_000)}, ms(20_000)},
	} {
		got, then := routes.PermitsFrom(c.next, now, c.limit, c.n)
		if !slices.EqualFunc(got, c.want, time.Time.Equal) || !then.Equal(c.then) {
			t.Errorf("%s: %v, then %v; want %v, then %v", c.name, got, then, c.want, c.then)
		}
	}
}
