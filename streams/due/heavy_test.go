package due_test

import (
	"slices"
	"testing"

	"belfry/internal/job"
	"belfry/internal/jobtest"
	"belfry/internal/room"
	"belfry/streams/due"
)

const largeSize = jobtest.LargeSize

var largeRecord = jobtest.Large

// Large records are loaded while their route has room, and others pass them.
func TestQueueLoadsLargeRecordsAsThereIsRoom(t *testing.T) {
	const cost = 2*largeSize + 1<<10
	pool := room.New(room.Config{Bytes: 6 * cost})
	a := newQueue(none)
	a.SetLimit(due.NewInFlight(pool, 1))
	records := map[uint64]job.Record{}
	for seq := uint64(1); seq <= 5; seq++ {
		records[seq] = largeRecord(seq, "a", at(int(seq)))
	}
	records[6] = largeRecord(6, "b", at(50))
	records[7] = scheduled(7, at(60), job.Position{}) // a small one
	for seq := uint64(1); seq <= 7; seq++ {
		if r := records[seq]; len(r.Meta) > 1000 {
			observeLarge(a, r, largeSize+100)
		} else {
			a.Observe(r)
		}
	}
	load := func() []uint64 {
		all := a.ToLoad(at(0))
		for _, seq := range all {
			a.SetLoaded(records[seq], at(0))
		}
		slices.Sort(all)
		return all
	}
	if got := load(); !slices.Contains(got, 6) || !slices.Contains(got, 7) || slices.Contains(got, 4) {
		t.Errorf("loaded are %v, want a few of the first three, and 6 and 7", got)
	}
	if bad := a.Balanced(); bad != "" {
		t.Error(bad)
	}
	// A record that is due sooner takes the place of one that is due later.
	records[8] = largeRecord(8, "a", at(0))
	observeLarge(a, records[8], largeSize+100)
	if got := load(); !slices.Contains(got, 8) {
		t.Errorf("loaded are %v, want 8, which is due first", got)
	}
	if !a.Hungry() {
		t.Error("no record waits for room, though there is none")
	}
	if got := a.Counts(at(100)); got.Waiting != 8 || got.Overdue != 8 {
		t.Errorf("%+v, want 8 waiting, all overdue", got)
	}
	// As fires end, the other records get their room.
	fired := map[uint64]int{}
	for range 20 {
		for _, r := range a.ToFire(at(100), 10) {
			fired[r.Revision]++
			if len(r.Meta) > 1000 {
				pool.Give("db\x00"+r.Route, cost)
			}
			a.Remove(r.Revision)
		}
		load()
		if bad := a.Balanced(); bad != "" {
			t.Fatal(bad)
		}
	}
	for seq := range records {
		if fired[seq] != 1 {
			t.Errorf("record %d fired %d times", seq, fired[seq])
		}
	}
	if pool.Held() != 0 || a.Entries() != 0 || a.Hungry() {
		t.Errorf("in the end %d bytes are held, and %d entries are left", pool.Held(), a.Entries())
	}
}

// A record that waits for room can be replaced. A loaded record gives its room back when
// it is replaced.
func TestQueueForgetsLargeRecords(t *testing.T) {
	pool := room.New(room.Config{Bytes: 3 * largeSize})
	a := newQueue(none)
	a.SetLimit(due.NewInFlight(pool, 1))
	for seq := uint64(1); seq <= 2; seq++ {
		observeLarge(a, largeRecord(seq, "a", at(int(seq))), largeSize)
	}
	for _, seq := range a.ToLoad(at(0)) {
		a.SetLoaded(largeRecord(seq, "a", at(int(seq))), at(0))
	}
	for seq := uint64(1); seq <= 2; seq++ {
		r := scheduled(seq+10, at(0), largeRecord(seq, "a", at(int(seq))).Position())
		r.Status = job.Cancelled
		a.Observe(r)
	}
	if pool.Held() != 0 || a.Entries() != 0 {
		t.Errorf("%d bytes are held, and %d entries are left; want none", pool.Held(), a.Entries())
	}
}
