package due_test

import (
	"slices"
	"testing"

	"belfry/internal/job"
	"belfry/internal/room"
	"belfry/streams/due"
)

// largeCost is the room that a LargeRecord takes once it is loaded.
const largeCost = 2*largeSize + 1<<10

// heavyQueue has n large records of one route loaded.
func heavyQueue(t *testing.T, pool *room.Pool, n int) *due.Queue {
	t.Helper()
	a := newQueue(none)
	a.Bound(due.NewInFlight(pool, 1))
	for seq := uint64(1); seq <= uint64(n); seq++ {
		observeLarge(a, largeRecord(seq, "a", at(1000+int(seq))), largeSize)
	}
	for _, seq := range a.ToLoad(at(0)) {
		a.Loaded(largeRecord(seq, "a", at(1000+int(seq))), at(0))
	}
	if got := pool.HeldBy("db\x00a"); got != int64(n)*largeCost {
		t.Fatalf("%d bytes are held for %d records, want %d", got, n, n*largeCost)
	}
	return a
}

// Loaded records give up their room only where that lets one be loaded that is due
// sooner, and only as many as it takes.
func TestQueueUnloadsOnlyWhatHelps(t *testing.T) {
	const bound = 12 * largeCost // the route gets six of them
	for _, c := range []struct {
		name   string
		loaded int
		hinder func(*room.Pool)
		bytes  int  // of the record that is due sooner
		loads  bool // that record
		gone   int  // of the loaded ones
	}{
		{"there is room", 5, func(*room.Pool) {}, largeSize, true, 0},
		{"the share is used up", 6, func(*room.Pool) {}, largeSize, true, 1},
		{"a larger one", 6, func(*room.Pool) {}, 2 * largeSize, true, 2},
		{"the brake is on", 6, func(p *room.Pool) { p.Brake(true); p.TryTake("x", 65<<10) }, largeSize, false, 0},
		{"others hold all the rest", 3, func(p *room.Pool) { p.Force("x", 9*largeCost) }, 4 * largeSize, false, 0},
		{"others hold more than there is", 3, func(p *room.Pool) { p.Force("x", 15*largeCost) }, largeSize, false, 0},
		{"others hold all the rest, and two give enough", 3, func(p *room.Pool) { p.Force("x", 9*largeCost) }, largeSize / 4, true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			pool := room.New(room.Config{Bytes: bound})
			a := heavyQueue(t, pool, c.loaded)
			c.hinder(pool)
			sooner := scheduled(99, at(500), job.Position{})
			sooner.Route = "a"
			observeLarge(a, sooner, c.bytes)
			if got := slices.Contains(a.ToLoad(at(0)), 99); got != c.loads {
				t.Errorf("the one that is due sooner is loaded: %v, want %v", got, c.loads)
			}
			if got := c.loaded - a.Ready(); got != c.gone {
				t.Errorf("%d records gave up their room, want %d", got, c.gone)
			}
			if bad := a.Balanced(); bad != "" {
				t.Error(bad)
			}
		})
	}
}
