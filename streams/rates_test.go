package streams_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/streams"
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
		got, then := streams.PermitsFrom(c.next, now, c.limit, c.n)
		if !slices.EqualFunc(got, c.want, time.Time.Equal) || !then.Equal(c.then) {
			t.Errorf("%s: %v, then %v; want %v, then %v", c.name, got, then, c.want, c.then)
		}
	}
}

// Many that ask at once, on two nodes, share one rate.
func TestPermitsOverTwoNodes(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	other, err := streams.Open(t.Context(), f.server.Connect(), streams.Config{})
	if err != nil {
		t.Fatal(err)
	}
	limit := job.RateLimit{PerSecond: 1000}
	var mu sync.Mutex
	var all []time.Time
	var asking sync.WaitGroup
	for _, s := range []*streams.Store{f.Store, other} {
		for range 4 {
			asking.Go(func() {
				for i := range 10 {
					permits, err := s.ReservePermits(t.Context(), job.RouteKey{DB: "db", ID: "r"}, limit, i+1)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					all = append(all, permits...)
					mu.Unlock()
				}
			})
		}
	}
	asking.Wait()
	slices.SortFunc(all, time.Time.Compare)
	if len(all) != 8*55 {
		t.Fatalf("%d permits, want %d", len(all), 8*55)
	}
	for i := range len(all) - 1 {
		if got := all[i+1].Sub(all[i]); got < time.Millisecond {
			t.Fatalf("permits %d and %d are %v apart, want 1 ms at least", i, i+1, got)
		}
	}
}
