package streams_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/internal/jobtest"
	"belfry/internal/room"
	"belfry/streams"
)

// Many large jobs of a few routes come due at once. Together they are larger than all the
// room, and each is fired once.
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
	for _, size := range []int{jobtest.LargeSize, 900 << 10} {
		for range 15 {
			j := newJob(fmt.Sprint(n), fmt.Sprint("r", n%3), due)
			j.Meta = jobtest.Meta(size)
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

// A route whose workers keep large fires gets as many as its share. Another route gets
// its own share, and released fires make room for the next.
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
			if j.Meta = jobtest.Meta(jobtest.LargeSize); i == 5 {
				j.Meta = jobtest.Meta(400 << 10) // from a time with a larger limit
			} else if i%3 == 0 {
				j.Meta = jobtest.Meta(10)
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
	if got := fetch(t.Context(), a, true); len(got) != 12 { // the kept ones are redelivered
		t.Errorf("after that %d fires came, want 12", len(got))
	}
	eventually(t, "all room is given back", func() bool { return pool.Held() == 0 })
}
