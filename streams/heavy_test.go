package streams_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/internal/room"
	"belfry/streams"
)

const largeSize = 100 << 10

func largeMeta(bytes_ int) []byte {
	return slices.Concat([]byte(`"`), bytes.Repeat([]byte("x"), bytes_-2), []byte(`"`))
}

func largeRecord(seq uint64, route string, due time.Time) job.Record {
	r := scheduled(seq, due, job.Position{})
	r.Route, r.Meta = route, largeMeta(largeSize)
	return r
}

// Large records are loaded as far as their route has room, and others pass them.
func TestAgendaLoadsLargeRecordsAsThereIsRoom(t *testing.T) {
	const cost = 2*largeSize + 1<<10
	pool := room.New(room.Config{Bytes: 6 * cost})
	a := streams.NewAgenda(none)
	a.Bound(pool)
	records := map[uint64]job.Record{}
	for seq := uint64(1); seq <= 5; seq++ {
		records[seq] = largeRecord(seq, "a", at(int(seq)))
	}
	records[6] = largeRecord(6, "b", at(50))
	records[7] = scheduled(7, at(60), job.Position{}) // a small one
	for seq := uint64(1); seq <= 7; seq++ {
		if r := records[seq]; len(r.Meta) > 1000 {
			a.ObserveLarge(r, largeSize+100)
		} else {
			a.Observe(r)
		}
	}
	load := func() []uint64 {
		all := a.ToLoad(at(0))
		for _, seq := range all {
			a.Took(records[seq], at(0))
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
	// One that is due sooner takes the place of one that is due later.
	records[8] = largeRecord(8, "a", at(0))
	a.ObserveLarge(records[8], largeSize+100)
	if got := load(); !slices.Contains(got, 8) {
		t.Errorf("loaded are %v, want 8, which is due first", got)
	}
	if !a.Hungry() {
		t.Error("no record waits for room, though there is none")
	}
	if got := a.Counts(at(100)); got.Waiting != 8 || got.Overdue != 8 {
		t.Errorf("%+v, want 8 waiting, all overdue", got)
	}
	// As fires end, the others get their room.
	fired := map[uint64]int{}
	for range 20 {
		for _, r := range a.ToFire(at(100), 10) {
			fired[r.Revision]++
			if len(r.Meta) > 1000 {
				pool.Give("db\x00"+r.Route, cost)
			}
			a.Gone(r.Revision)
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

// A record that waits for room can be replaced, and one that is loaded gives its
// room back when it is.
func TestAgendaForgetsLargeRecords(t *testing.T) {
	pool := room.New(room.Config{Bytes: 3 * largeSize})
	a := streams.NewAgenda(none)
	a.Bound(pool)
	for seq := uint64(1); seq <= 2; seq++ {
		a.ObserveLarge(largeRecord(seq, "a", at(int(seq))), largeSize)
	}
	for _, seq := range a.ToLoad(at(0)) {
		a.Took(largeRecord(seq, "a", at(int(seq))), at(0))
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

// Many large jobs come due at once, of a few routes and larger than all the room
// there is, and all are fired once.
func TestLargeJobsAreFiredInTurn(t *testing.T) {
	t.Parallel()
	var held mostHeld
	const bound = 1 << 20
	pool := room.New(room.Config{Bytes: bound, Patience: 100 * time.Millisecond, Watch: &held})
	f := open(t, streams.Config{InFlight: pool})
	for i := range 3 {
		f.route(fmt.Sprint("r", i), job.NATS)
	}
	due, n := time.Now().Add(time.Second), 0
	for _, size := range []int{largeSize, 900 << 10} {
		for range 15 {
			j := newJob(fmt.Sprint(n), fmt.Sprint("r", n%3), due)
			j.Meta = largeMeta(size)
			f.create(j)
			n++
		}
	}
	f.run()
	f.firedOnce(n)
	eventually(t, "all room is given back", func() bool { return pool.Held() == 0 })
	if most := held.bytes.Load(); most > bound || most < bound/2 {
		t.Errorf("%d bytes were held, want at most %d, and nearly as many", most, bound)
	}
}

// A route whose workers keep large fires gets as many as its share, another one
// gets its own, and what is released makes room for the next.
func TestLargeFiresAreFetchedAsThereIsRoom(t *testing.T) {
	t.Parallel()
	const bound = 2 << 20
	pool := room.New(room.Config{Bytes: bound, Patience: 50 * time.Millisecond})
	f := open(t, streams.Config{InFlight: pool, MaxMeta: 128 << 10})
	due := time.Now()
	for _, id := range []string{"a", "b"} {
		f.route(id, job.REST)
		for i := range 12 {
			j := newJob(fmt.Sprint(id, i), id, due)
			if j.Meta = largeMeta(largeSize); i == 5 {
				j.Meta = largeMeta(400 << 10) // of a time with a larger limit
			} else if i%3 == 0 {
				j.Meta = largeMeta(10)
			}
			f.create(j)
		}
	}
	f.run()
	fetch := func(ctx context.Context, k job.RouteKey, release bool) (got []job.Handover) {
		all := map[string]bool{}
		for ctx.Err() == nil && len(all) < 12 {
			err := f.Inboxes().Fetch(ctx, k, 12-len(all), 200*time.Millisecond, func(h job.Handover) {
				if all[h.Key.ID] = true; release {
					h.Released()
					if err := h.Ack(); err != nil {
						t.Error(err)
					}
				}
				got = append(got, h)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return got
	}
	a, b := job.RouteKey{DB: "db", ID: "a"}, job.RouteKey{DB: "db", ID: "b"}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	kept := fetch(ctx, a, false)
	if len(kept) == 0 || len(kept) == 12 || pool.HeldBy("db\x00a") > bound/2+512<<10 {
		t.Errorf("%d fires of 12 came, and hold %d bytes, want those that the share of the route has room for", len(kept), pool.HeldBy("db\x00a"))
	}
	if got := fetch(t.Context(), b, true); len(got) != 12 {
		t.Errorf("beside them %d fires of the other route came, want 12", len(got))
	}
	for _, h := range kept {
		h.Released()
	}
	if got := fetch(t.Context(), a, true); len(got) != 12 { // those that were kept come again
		t.Errorf("after that %d fires came, want 12", len(got))
	}
	eventually(t, "all room is given back", func() bool { return pool.Held() == 0 })
}
