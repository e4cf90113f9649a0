package streams_test

import (
	"testing"

	"belfry/internal/job"
	"belfry/internal/room"
	"belfry/streams"
)

// Room that is given back just after a large job was refused it wakes the loop, however
// soon that is.
func TestRoomIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	pool := room.New(room.Config{Bytes: 4 * largeCost})
	loop := streams.NewLoadingLoop(pool)
	pool.Force("others", 4*largeCost)
	loop.ObserveLarge(largeRecord(1, "a", at(0)), largeSize)
	loop.Observe(scheduled(2, at(0), job.Position{}))
	// The small one is asked for when the large one was refused.
	loaded := loop.LoadSome(at(0), func() { pool.Give("others", 4*largeCost) })
	if loaded != 1 || !loop.Hungry() {
		t.Fatalf("%d jobs are loaded, want the small one, while the large one waits", loaded)
	}
	if !loop.Woken() {
		t.Error("there is room, and nothing wakes the loop")
	}
	if loaded := loop.LoadSome(at(0), func() {}); loaded != 1 || loop.Hungry() {
		t.Errorf("%d jobs are loaded then, want the large one", loaded)
	}
}
