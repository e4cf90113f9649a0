package streams_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/streams"
)

// Many callers that ask at once, on two nodes, share one rate.
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
