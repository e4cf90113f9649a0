package due_test

import (
	"slices"
	"testing"

	"belfry/internal/job"
	"belfry/internal/room"
	"belfry/streams/due"
)

// largeCost is the room that a LargeRecord takes when it is loaded.
const largeCost = 2*largeSize + 1<<10

// heavyQueue returns a queue with n large records of one route loaded.
func heavyQueue(t *testing.T, pool *room.Pool, n int) *due.Queue {
	t.Helper()
	a := newQueue(none)
	a.SetLimit(due.NewInFlight(pool, 1))
	for seq := uint64(1); seq <= uint64(n); seq++ {
		observeLarge(a, largeRecord(seq, "a", at(1000+int(seq))), largeSize)
	}
	for _, seq := range a.ToLoad(at(0)) {
		a.SetLoaded(largeRecord(seq, "a", at(1000+int(seq))), at(0))
	}
	if got := pool.HeldBy("db\x00a"); got != int64(n)*largeCost {
		t.Fatalf("%d bytes are held for %d records, want %d", got, n, n*largeCost)
	}
	return a
}

// Loaded records give up their room only if that lets a record that is due sooner be
// loaded, and only as many as needed.
func TestQueueUnloadsOnlyWhatHelps(t *testing.T) {
	const bound = 12 * largeCost // the route gets six of them
	for _, c := range []struct {
		name   string
		loaded int
		hinder func(*room.Pool)
		bytes  int  // the size of the record that is due sooner
		loads  bool // whether that record is loaded
		gone   int  // how many of the loaded records give way
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

// All records that are loaded, being loaded or set aside go back to the far future when
// the partition is given up.
func TestQueueThatIsGivenUp(t *testing.T) {
	pool := room.New(room.Config{Bytes: 12 * largeCost})
	q := newQueue(none)
	q.SetLimit(due.NewInFlight(pool, 1))
	for seq := uint64(1); seq <= 8; seq++ { // the last two wait for room
		observeLarge(q, largeRecord(seq, "a", at(int(seq))), largeSize)
	}
	q.Observe(scheduled(9, at(9), job.Position{}))
	if n := len(q.ToLoad(at(0))); n != 7 {
		t.Fatalf("%d jobs are to be loaded, want 7", n)
	}
	for seq := range uint64(4) { // the others are being loaded
		q.SetLoaded(largeRecord(seq+1, "a", at(int(seq)+1)), at(0))
	}
	q.PutBack()
	if bad := q.Balanced(); bad != "" {
		t.Errorf("the counter %q is off", bad)
	}
	if got := q.Counts(at(0)); pool.Held() != 0 || q.Ready() != 0 || got.Waiting != 9 {
		t.Errorf("%d bytes are held, %d jobs are loaded and %d wait, want none, none and 9", pool.Held(), q.Ready(), got.Waiting)
	}
}
