package due_test

import (
	"slices"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/streams/due"
)

func TestQueueGate(t *testing.T) {
	a := newQueue(all)
	const n = 3 * due.GateLimit
	now := at(10_000)
	for i := range n {
		a.Observe(scheduled(uint64(i+1), at(i), job.Position{}))
	}
	// pump loads and fires until nothing moves.
	var fired []job.Record
	pump := func() {
		for {
			load := a.ToLoad(now)
			for _, seq := range load {
				a.SetLoaded(scheduled(seq, at(int(seq-1)), job.Position{}), now)
			}
			due := a.ToFire(now, n)
			fired = append(fired, due...)
			if len(load)+len(due) == 0 {
				return
			}
		}
	}
	pump()
	k := fired[0].RouteKey()
	if out, waiting := a.Out(k); len(fired) != due.GateLimit || out != due.GateLimit || waiting != n-due.GateLimit {
		t.Fatalf("fired %d, out %d, waiting %d; want %d out and the rest waiting", len(fired), out, waiting, due.GateLimit)
	}
	// A parked job can be cancelled.
	cancelled := scheduled(n, at(n-1), job.Position{})
	final, err := cancelled.Cancel(now)
	if err != nil {
		t.Fatal(err)
	}
	final.Revision = n + 1
	a.Observe(final)
	// Each claim, and then its end, lets the next record through, in due order.
	seq := uint64(n + 1)
	for i := 0; i < len(fired); i++ {
		claim := fired[i].Claim(now, 1, 0, time.Hour, "")
		seq++
		claim.Revision = seq
		a.Observe(claim)
		done := claim.Finish(job.Result{Status: job.Delivered}, now)
		seq++
		done.Revision = seq
		a.Observe(done)
		pump()
		if bad := a.Balanced(); bad != "" {
			t.Fatalf("after %d ends the counter %q is off", i+1, bad)
		}
	}
	if len(fired) != n-1 {
		t.Errorf("fired %d jobs, want %d", len(fired), n-1)
	}
	if !slices.IsSortedFunc(fired, func(a, b job.Record) int { return int(a.Due - b.Due) }) {
		t.Error("a gated route fires out of due order")
	}
	if got := a.Entries(); got != 0 {
		t.Errorf("%d entries are left, want none", got)
	}
}

// A shut gate keeps the records that come due and gives them back in due order when it
// opens, even for a route that has no gate otherwise.
func TestQueueGateShut(t *testing.T) {
	open := due.GateState{}
	a := newQueueWith(func(job.RouteKey) due.GateState { return open })
	records := map[uint64]job.Record{}
	for i := range uint64(5) {
		r := scheduled(i+1, at(int(50-10*i)), job.Position{})
		records[r.Revision] = r
		a.Observe(r)
	}
	fire := func(now time.Time) []uint64 {
		for _, seq := range a.ToLoad(now) {
			a.SetLoaded(records[seq], now)
		}
		due := a.ToFire(now, 10)
		for _, r := range due {
			a.Observe(claimOf(r, 100+r.Revision))
		}
		return seqs(due)
	}
	for range 3 {
		if got := fire(at(100)); got != nil {
			t.Fatalf("%v fire through a gate that is shut", got)
		}
	}
	if fired, waiting := a.Out(job.RouteKey{DB: "db", ID: "r"}); fired != 0 || waiting != 5 {
		t.Errorf("%d are out and %d wait, want all 5 to wait", fired, waiting)
	}
	open.Again = at(500)
	if got := a.NextOpening(at(100)); !got.Equal(at(500)) {
		t.Errorf("the gate opens at %v, want %v", got, at(500))
	}
	open = due.GateState{Out: 1}
	if got := fire(at(600)); !slices.Equal(got, []uint64{5}) {
		t.Errorf("%v fire as a probe, want the one that is due first, 5", got)
	}
	open = due.GateState{Out: due.Unlimited}
	if got := fire(at(700)); !slices.Equal(got, []uint64{4, 3, 2, 1}) {
		t.Errorf("%v fire through the open gate, want 4, 3, 2, 1", got)
	}
	if why := a.Balanced(); why != "" {
		t.Errorf("the counter %s is wrong", why)
	}
}

// A record that was called up keeps its permit, however long it takes to load.
func TestQueuePermitsOfSlowLoads(t *testing.T) {
	k := job.RouteKey{DB: "db", ID: "r"}
	a := newQueueWith(func(job.RouteKey) due.GateState {
		return due.GateState{Out: due.GateLimit, PerSecond: 10}
	})
	a.Observe(scheduled(1, at(0), job.Position{}))
	load := func(begin, end time.Time) {
		for _, seq := range a.ToLoad(begin) {
			a.SetLoaded(scheduled(seq, at(0), job.Position{}), end)
		}
	}
	load(at(0), at(0))
	if got := a.ToFire(at(0), 10); got != nil {
		t.Fatalf("%v fired without a permit", seqs(got))
	}
	a.Grant(k, []time.Time{at(0), at(100)}, at(0))
	load(at(100), at(10_000))
	if got := seqs(a.ToFire(at(10_000), 10)); !slices.Equal(got, []uint64{1}) {
		t.Errorf("fired %v once it was loaded, want 1", got)
	}
	// No record is left for the other permit.
	a.Observe(scheduled(2, at(1), job.Position{}))
	load(at(10_000), at(10_000))
	if got := a.ToFire(at(10_000), 10); got != nil {
		t.Errorf("%v fired with a permit of long ago", seqs(got))
	}
	if why := a.Balanced(); why != "" {
		t.Errorf("the counter %s is wrong", why)
	}
}

// Each fire of a route with a rate limit uses up a permit, not before its time.
func TestQueuePermits(t *testing.T) {
	k := job.RouteKey{DB: "db", ID: "r"}
	a := newQueueWith(func(job.RouteKey) due.GateState {
		return due.GateState{Out: due.GateLimit, PerSecond: 10}
	})
	records := map[uint64]job.Record{}
	for i := range uint64(5) {
		r := scheduled(i+1, at(int(i)), job.Position{})
		records[r.Revision] = r
		a.Observe(r)
	}
	fire := func(now time.Time) []uint64 {
		var fired []uint64
		for range 2 { // a record that is called up fires the next time
			for _, seq := range a.ToLoad(now) {
				a.SetLoaded(records[seq], now)
			}
			fired = append(fired, seqs(a.ToFire(now, 10))...)
		}
		return fired
	}
	if got := fire(at(10)); got != nil {
		t.Fatalf("%v fire without permits", got)
	}
	if got := wanted(a, at(10))[k]; got != 3 {
		t.Errorf("asks for %d permits, want 3: those of a quarter of a second", got)
	}
	if got := wanted(a, at(10)); len(got) != 0 {
		t.Errorf("asks again for %v before there is an answer", got)
	}
	a.Grant(k, []time.Time{at(20), at(120), at(220)}, at(10))
	if got := a.NextOpening(at(10)); !got.Equal(at(20)) {
		t.Errorf("the first permit is for %v, want %v", got, at(20))
	}
	for _, c := range []struct {
		now  int
		want []uint64
	}{{10, nil}, {20, []uint64{1}}, {119, nil}, {120, []uint64{2}}, {400, []uint64{3}}, {600, nil}} {
		if got := fire(at(c.now)); !slices.Equal(got, c.want) {
			t.Errorf("at %d ms %v fire, want %v", c.now, got, c.want)
		}
	}
	if got := wanted(a, at(600))[k]; got != 2 {
		t.Errorf("asks for %d permits, want 2 for those that are left", got)
	}
	a.Grant(k, nil, at(600)) // the request for permits failed
	if got := wanted(a, at(600))[k]; got != 2 {
		t.Errorf("asks for %d permits after a failure, want 2 again", got)
	}
}

// Permits that a shut gate left unused are not added to the permits for the time when it
// opens.
func TestQueueForgetsPermits(t *testing.T) {
	k := job.RouteKey{DB: "db", ID: "r"}
	out := due.GateLimit
	a := newQueueWith(func(job.RouteKey) due.GateState {
		return due.GateState{Out: out, PerSecond: 100}
	})
	records := map[uint64]job.Record{}
	for i := range uint64(30) {
		r := scheduled(i+1, at(0), job.Position{})
		records[r.Revision] = r
		a.Observe(r)
	}
	fire := func(now time.Time) int {
		n := 0
		for range 2 { // a record that is called up fires the next time
			for _, seq := range a.ToLoad(now) {
				a.SetLoaded(records[seq], now)
			}
			n += len(a.ToFire(now, 100))
		}
		return n
	}
	fire(at(0))
	if got := wanted(a, at(0))[k]; got != 25 {
		t.Fatalf("asks for %d permits, want 25", got)
	}
	var permits []time.Time
	for i := range 25 {
		permits = append(permits, at(10*i))
	}
	a.Grant(k, permits, at(0))
	out = 0
	if got := fire(at(400)); got != 0 {
		t.Fatalf("%d fire through a shut gate", got)
	}
	out = due.GateLimit
	if got := fire(at(400)); got != 10 {
		t.Errorf("%d fire at once when it opens, want the 10 of the last quarter of a second", got)
	}
	if got := wanted(a, at(400))[k]; got != 20 {
		t.Errorf("asks for %d permits, want 20 for those that are left", got)
	}
	// The permits of a burst are for a time long past.
	a.Grant(k, []time.Time{at(-500), at(-490)}, at(500))
	if got := fire(at(600)); got != 2 {
		t.Errorf("%d fire with two permits of a burst, want both", got)
	}
}

// A record that was called up goes before those that come due while it is loaded.
func TestQueueKeepsTheOrderOfTheCalled(t *testing.T) {
	k := job.RouteKey{DB: "db", ID: "r"}
	a := newQueueWith(func(job.RouteKey) due.GateState {
		return due.GateState{Out: due.GateLimit, PerSecond: 100}
	})
	first, second := scheduled(1, at(0), job.Position{}), scheduled(2, at(1), job.Position{})
	load := func(r job.Record, now time.Time) {
		t.Helper()
		if got := a.ToLoad(now); !slices.Equal(got, []uint64{r.Revision}) {
			t.Fatalf("loads %v, want %d", got, r.Revision)
		}
	}
	a.Observe(first)
	load(first, at(2))
	a.SetLoaded(first, at(2))
	a.ToFire(at(2), 10) // parks it
	wanted(a, at(2))
	a.Grant(k, []time.Time{at(2)}, at(2))
	load(first, at(3))
	a.Observe(second)
	load(second, at(3))
	a.SetLoaded(second, at(3))
	if got := seqs(a.ToFire(at(3), 10)); got != nil {
		t.Errorf("%v fire, want none before the first one", got)
	}
	a.SetLoaded(first, at(4))
	if got := seqs(a.ToFire(at(4), 10)); !slices.Equal(got, []uint64{1}) {
		t.Errorf("%v fire, want the first one", got)
	}
}

func claimOf(r job.Record, revision uint64) job.Record {
	c := r.Claim(epoch, 1, 1, time.Hour, "fire")
	c.Revision = revision
	return c
}
