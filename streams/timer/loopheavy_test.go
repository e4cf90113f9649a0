package timer_test

import (
	"testing"

	"belfry/internal/job"
	"belfry/internal/jobtest"
	"belfry/internal/room"
	"belfry/streams/timer"
)

// costOfLarge is the room that a large record takes when it is loaded.
const costOfLarge = 2*jobtest.LargeSize + 1<<10

// Room that is given back right after a large job was refused room wakes the loop,
// however soon that is.
func TestRoomIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	pool := room.New(room.Config{Bytes: 4 * costOfLarge})
	loop := timer.NewLoadingLoop(pool)
	pool.Force("others", 4*costOfLarge)
	loop.ObserveLarge(jobtest.Large(1, "a", jobtest.At(0)), jobtest.LargeSize)
	loop.Observe(jobtest.Scheduled(2, jobtest.At(0), job.Position{}))
	// The small job is requested after the large one was refused.
	loaded := loop.LoadSome(jobtest.At(0), func() { pool.Give("others", 4*costOfLarge) })
	if loaded != 1 || !loop.Hungry() {
		t.Fatalf("%d jobs are loaded, want the small one, while the large one waits", loaded)
	}
	if !loop.Woken() {
		t.Error("there is room, and nothing wakes the loop")
	}
	if loaded := loop.LoadSome(jobtest.At(0), func() {}); loaded != 1 || loop.Hungry() {
		t.Errorf("%d jobs are loaded then, want the large one", loaded)
	}
}

// A partition that is given up keeps only the room of its fires, and has all its jobs
// when it is taken again.
func TestGivenUpPartitionKeepsNoRoom(t *testing.T) {
	t.Parallel()
	pool := room.New(room.Config{Bytes: 12 * costOfLarge})
	loop := timer.NewLoadingLoop(pool)
	records := map[uint64]job.Record{}
	for seq := uint64(1); seq <= 8; seq++ { // the last two wait for room
		records[seq] = jobtest.Large(seq, "a", jobtest.At(int(seq)))
		loop.ObserveLarge(records[seq], jobtest.LargeSize)
	}
	records[9] = jobtest.Scheduled(9, jobtest.At(9), job.Position{})
	loop.Observe(records[9])
	if n := loop.LoadSome(jobtest.At(0), func() {}); n != 7 {
		t.Fatalf("%d jobs are loaded, want 7", n)
	}
	for seq := range uint64(4) { // the others are being loaded
		loop.Took(records[seq+1], jobtest.At(0))
	}
	fired := loop.ToFire(jobtest.At(1), 10)
	if len(fired) != 1 || loop.Ready() != 3 {
		t.Fatalf("%d jobs fire and %d are loaded, want 1 and 3", len(fired), loop.Ready())
	}
	loop.GiveUp(t.Context())
	if got := pool.Held(); got != costOfLarge || loop.Ready() != 0 || loop.Woken() {
		t.Errorf("%d bytes are held and %d jobs are loaded; want %d, for the fire, and none", got, loop.Ready(), costOfLarge)
	}
	loop.Took(records[5], jobtest.At(0)) // a load that was under way
	if got := pool.Held(); got != costOfLarge {
		t.Errorf("after a late answer %d bytes are held, want %d", got, costOfLarge)
	}
	if got := loop.Counts(jobtest.At(100)); got.Waiting != 9 {
		t.Errorf("%+v, want 9 waiting", got)
	}
	// All jobs fire in turn when the partition is ours again.
	pool.Give("db\x00a", costOfLarge)
	loop.Gone(1)
	for range 20 {
		for _, seq := range loop.ToLoad(jobtest.At(100)) {
			loop.Took(records[seq], jobtest.At(100))
		}
		for _, r := range loop.ToFire(jobtest.At(100), 10) {
			if len(r.Meta) > 1000 {
				pool.Give("db\x00a", costOfLarge)
			}
			delete(records, r.Revision)
			loop.Gone(r.Revision)
		}
	}
	if len(records) != 1 || pool.Held() != 0 || loop.Entries() != 0 {
		t.Errorf("%d jobs are left, %d bytes are held, %d entries are there; want 1, which fired before, and none", len(records), pool.Held(), loop.Entries())
	}
}
