package streams_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/streams"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

func none(job.RouteKey) bool { return false }
func all(job.RouteKey) bool  { return true }

func scheduled(seq uint64, due time.Time, replaces job.Position) job.Record {
	j := newJob(fmt.Sprint(seq), "r", due)
	r := job.New(j, "fire")
	r.Revision, r.Replaces = seq, replaces
	return r
}

func seqs(records []job.Record) []uint64 {
	var s []uint64
	for _, r := range records {
		s = append(s, r.Revision)
	}
	return s
}

func TestAgendaNeverEarly(t *testing.T) {
	a := streams.NewAgenda(none)
	r := scheduled(1, at(900), job.Position{})
	a.Observe(r)
	a.Took(r, at(0)) // not asked for: means nothing
	if got := a.ToLoad(at(0)); !slices.Equal(got, []uint64{1}) {
		t.Fatalf("to load: %v, want [1]", got)
	}
	a.Took(r, at(0))
	if got := a.ToFire(at(899), 10); got != nil {
		t.Errorf("at 899 ms fires %v, due at 900 ms", seqs(got))
	}
	if got, want := a.NextFire(), at(900); !got.Equal(want) {
		t.Errorf("next fire at %v, want %v", got, want)
	}
	if got := seqs(a.ToFire(at(900), 10)); !slices.Equal(got, []uint64{1}) {
		t.Errorf("at 900 ms fires %v, want [1]", got)
	}
	if got := a.ToFire(at(901), 10); got != nil {
		t.Errorf("fires %v twice", seqs(got))
	}
}

func TestAgendaLoadsShortlyBefore(t *testing.T) {
	a := streams.NewAgenda(none)
	a.Observe(scheduled(1, at(3_600_000), job.Position{}))
	if got := a.ToLoad(at(0)); got != nil {
		t.Errorf("loads %v an hour ahead", got)
	}
	next := a.NextLoad()
	if got := a.ToLoad(next); !slices.Equal(got, []uint64{1}) {
		t.Errorf("at its next load %v loads %v, want [1]", next, got)
	}
}

func TestAgendaKeepsOneEntryPerJob(t *testing.T) {
	a := streams.NewAgenda(none)
	var last job.Position
	for i := range 10_000 {
		r := scheduled(uint64(i+1), at(3_600_000+i*7919%100_000), last)
		a.Observe(r)
		last = r.Position()
	}
	if got := a.Entries(); got != 1 {
		t.Errorf("10,000 reschedules of one job leave %d entries, want 1", got)
	}
}

// A stale load must not bring back what was replaced, nor a late due time fire
// early.
func TestAgendaBelievesTheRecord(t *testing.T) {
	a := streams.NewAgenda(none)
	old := scheduled(1, at(100), job.Position{})
	a.Observe(old)
	a.ToLoad(at(0))
	a.Observe(scheduled(2, at(5_000_000), old.Position()))
	a.Took(old, at(0))
	if got := a.ToFire(at(1000), 10); got != nil {
		t.Errorf("fires %v, which was replaced", seqs(got))
	}
	a.ObserveUnknown(job.Record{Job: job.Job{Key: job.Key{DB: "db", Collection: "coll", ID: "3"}}, Revision: 3})
	if got := a.ToLoad(at(0)); !slices.Equal(got, []uint64{3}) {
		t.Fatalf("to load: %v, want [3] at once", got)
	}
	a.Took(scheduled(3, at(9_000_000), job.Position{}), at(0))
	if got := a.ToFire(at(1000), 10); got != nil {
		t.Errorf("fires %v, due much later", seqs(got))
	}
	if next := a.NextLoad(); next.Before(at(1000)) {
		t.Errorf("loads again at %v", next)
	}
}

func TestAgendaTriesAgainAfterFailure(t *testing.T) {
	a := streams.NewAgenda(none)
	r := scheduled(1, at(0), job.Position{})
	a.Observe(r)
	a.ToLoad(at(0))
	a.Failed(1, at(1000))
	if got := a.ToLoad(at(999)); got != nil {
		t.Errorf("loads %v before the time to try again", got)
	}
	if got := a.ToLoad(at(1000)); !slices.Equal(got, []uint64{1}) {
		t.Errorf("loads %v at the time to try again, want [1]", got)
	}
}

func TestAgendaGate(t *testing.T) {
	a := streams.NewAgenda(all)
	const n = 3 * streams.GateLimit
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
				a.Took(scheduled(seq, at(int(seq-1)), job.Position{}), now)
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
	if out, waiting := a.Out(k); len(fired) != streams.GateLimit || out != streams.GateLimit || waiting != n-streams.GateLimit {
		t.Fatalf("fired %d, out %d, waiting %d; want %d out and the rest waiting", len(fired), out, waiting, streams.GateLimit)
	}
	// A parked job can be cancelled.
	cancelled := scheduled(n, at(n-1), job.Position{})
	final, err := cancelled.Cancel(now)
	if err != nil {
		t.Fatal(err)
	}
	final.Revision = n + 1
	a.Observe(final)
	// Each claim, and then its end, lets the next one through, in due order.
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

// Random lives of jobs, with loads and claims that fail or come late: every
// counter stays right, nothing fires early or from an old revision, and each
// arming that is left alone fires.
func TestAgendaRandomLives(t *testing.T) {
	for seed := range uint64(200) {
		agendaLife(t, seed)
	}
}

func agendaLife(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	a := streams.NewAgenda(func(k job.RouteKey) bool { return k.ID == "rest" })
	bucket := map[string]job.Record{} // by id: what is stored
	bySeq := map[uint64]string{}
	var seq uint64
	store := func(r job.Record) job.Record {
		seq++
		delete(bySeq, bucket[r.ID].Revision)
		r.Revision = seq
		bucket[r.ID], bySeq[seq] = r, r.ID
		a.Observe(r)
		return r
	}
	now := at(0)
	var loading []uint64
	var claiming []job.Record
	step := func(quiet bool) {
		loading = append(loading, a.ToLoad(now)...)
		for _, r := range a.ToFire(now, 4) {
			if r.Due > now.UnixMilli() {
				t.Fatalf("seed %d: %s fires at %v, due %d", seed, r.ID, now, r.Due)
			}
			claiming = append(claiming, r)
		}
		for len(loading) > 0 && (quiet || rnd.IntN(2) == 0) {
			s := loading[0]
			loading = loading[1:]
			id, ok := bySeq[s]
			switch {
			case !ok:
				a.Gone(s)
			case !quiet && rnd.IntN(5) == 0:
				a.Failed(s, now.Add(time.Second))
			default:
				a.Took(bucket[id], now)
			}
		}
		for len(claiming) > 0 && (quiet || rnd.IntN(2) == 0) {
			r := claiming[0]
			claiming = claiming[1:]
			switch {
			case bucket[r.ID].Revision != r.Revision:
				a.Gone(r.Revision)
			case !quiet && rnd.IntN(5) == 0:
				a.Failed(r.Revision, now.Add(time.Second))
			default:
				c := store(r.Claim(now, 1, 0, time.Hour, ""))
				store(c.Finish(job.Result{Status: job.Delivered}, now))
			}
		}
		if bad := a.Balanced(); bad != "" {
			t.Fatalf("seed %d: the counter %q is off", seed, bad)
		}
	}
	for range 300 {
		now = now.Add(time.Duration(rnd.IntN(400)) * time.Millisecond)
		id := fmt.Sprint(rnd.IntN(20))
		j := newJob(id, []string{"rest", "nats"}[rnd.IntN(2)], now.Add(time.Duration(rnd.IntN(8000)-500)*time.Millisecond))
		switch old, ok := bucket[id]; {
		case !ok:
			store(job.New(j, "f"))
		case rnd.IntN(4) == 0:
			if r, err := old.Cancel(now); err == nil {
				store(r)
			}
		default:
			if r, err := old.Rearm(j, "f"); err == nil {
				store(r)
			}
		}
		step(false)
	}
	for range 60 {
		now = now.Add(time.Second)
		step(true)
	}
	for id, r := range bucket {
		if r.Status.Live() {
			t.Errorf("seed %d: job %s is still %s, due %v, now %v", seed, id, r.Status, time.UnixMilli(r.Due), now)
		}
	}
	if got := a.Entries(); got != 0 {
		t.Errorf("seed %d: %d entries are left, want none", seed, got)
	}
}

// The bucket keeps only the last record of a job, so the tail may miss those
// between: then a claim must not count for ever.
func TestAgendaForgetsClaimsItMissedTheEndOf(t *testing.T) {
	a := streams.NewAgenda(all)
	for i := range uint64(streams.GateLimit) {
		r := scheduled(10*i+10, at(0), job.Position{})
		c := r.Claim(at(0), 1, 0, 36*time.Hour, "x")
		c.Revision = 10*i + 11
		a.Observe(c)
		final := c.Finish(job.Result{Status: job.Delivered}, at(0))
		final.Revision = 10*i + 12 // overwritten before the tail got it
		again, err := final.Rearm(r.Job, "y")
		if err != nil {
			t.Fatal(err)
		}
		again.Revision, again.Due = 10*i+13, at(60_000).UnixMilli()
		a.Observe(again)
	}
	if out, waiting := a.Out(job.RouteKey{DB: "db", ID: "r"}); out != 0 || waiting != 0 {
		t.Errorf("%d fires out and %d waiting though no record is firing", out, waiting)
	}
	if bad := a.Balanced(); bad != "" {
		t.Errorf("the counter %q is off", bad)
	}

	// The same for a claim that was never seen, only its end.
	b := streams.NewAgenda(none)
	r := scheduled(1, at(0), job.Position{})
	b.Observe(r)
	b.ToLoad(at(0))
	b.Took(r, at(0))
	b.ToFire(at(0), 1)
	claim := r.Claim(at(0), 1, 0, time.Hour, "x")
	claim.Revision = 2
	final := claim.Finish(job.Result{Status: job.Published}, at(0))
	final.Revision = 3
	b.Observe(final)
	if got := b.Entries(); got != 0 {
		t.Errorf("%d entries are left of a finished job", got)
	}
}

// What is due now is loaded before what is due later, however much of that is
// loaded already.
func TestAgendaLoadsTheNextFirst(t *testing.T) {
	a := streams.NewAgenda(none)
	later := func(seq uint64) job.Record {
		r := scheduled(seq, at(2900), job.Position{})
		r.Meta = make([]byte, 512<<10)
		return r
	}
	for seq := range uint64(400) {
		a.Observe(later(seq + 1))
	}
	for {
		load := a.ToLoad(at(0))
		if len(load) == 0 {
			break
		}
		for _, seq := range load {
			a.Took(later(seq), at(0))
		}
	}
	a.Observe(scheduled(1000, at(10), job.Position{}))
	if got := a.ToLoad(at(10)); !slices.Equal(got, []uint64{1000}) {
		t.Errorf("to load: %v, want what is due now", got)
	}
	if bad := a.Balanced(); bad != "" {
		t.Errorf("the counter %q is off", bad)
	}
}

// A gate that is shut keeps what comes due, and gives it back in due order when
// it opens; also of a route that has no gate otherwise.
func TestAgendaGateShut(t *testing.T) {
	open := streams.Opening{}
	a := streams.NewAgendaWith(func(job.RouteKey) streams.Opening { return open })
	records := map[uint64]job.Record{}
	for i := range uint64(5) {
		r := scheduled(i+1, at(int(50-10*i)), job.Position{})
		records[r.Revision] = r
		a.Observe(r)
	}
	fire := func(now time.Time) []uint64 {
		for _, seq := range a.ToLoad(now) {
			a.Took(records[seq], now)
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
	open = streams.Opening{Out: 1}
	if got := fire(at(600)); !slices.Equal(got, []uint64{5}) {
		t.Errorf("%v fire as a probe, want the one that is due first, 5", got)
	}
	open = streams.Opening{Out: streams.Unlimited}
	if got := fire(at(700)); !slices.Equal(got, []uint64{4, 3, 2, 1}) {
		t.Errorf("%v fire through the open gate, want 4, 3, 2, 1", got)
	}
	if why := a.Balanced(); why != "" {
		t.Errorf("the counter %s is wrong", why)
	}
}

// Each fire of a route with a rate limit uses up a permit, not before its time.
func TestAgendaPermits(t *testing.T) {
	k := job.RouteKey{DB: "db", ID: "r"}
	a := streams.NewAgendaWith(func(job.RouteKey) streams.Opening {
		return streams.Opening{Out: streams.GateLimit, PerSecond: 10}
	})
	records := map[uint64]job.Record{}
	for i := range uint64(5) {
		r := scheduled(i+1, at(int(i)), job.Position{})
		records[r.Revision] = r
		a.Observe(r)
	}
	fire := func(now time.Time) []uint64 {
		var fired []uint64
		for range 2 { // what is called up fires the next time
			for _, seq := range a.ToLoad(now) {
				a.Took(records[seq], now)
			}
			fired = append(fired, seqs(a.ToFire(now, 10))...)
		}
		return fired
	}
	if got := fire(at(10)); got != nil {
		t.Fatalf("%v fire without permits", got)
	}
	if got := a.ToPermit(at(10))[k]; got != 3 {
		t.Errorf("asks for %d permits, want 3: those of a quarter of a second", got)
	}
	if got := a.ToPermit(at(10)); len(got) != 0 {
		t.Errorf("asks again for %v before there is an answer", got)
	}
	a.Permitted(k, at(10), at(20), at(120), at(220))
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
	if got := a.ToPermit(at(600))[k]; got != 2 {
		t.Errorf("asks for %d permits, want 2 for those that are left", got)
	}
	a.Permitted(k, at(600)) // it failed
	if got := a.ToPermit(at(600))[k]; got != 2 {
		t.Errorf("asks for %d permits after a failure, want 2 again", got)
	}
}

// Permits that a shut gate has left unused are not added to those of the time when
// it opens.
func TestAgendaForgetsPermits(t *testing.T) {
	k := job.RouteKey{DB: "db", ID: "r"}
	out := streams.GateLimit
	a := streams.NewAgendaWith(func(job.RouteKey) streams.Opening {
		return streams.Opening{Out: out, PerSecond: 100}
	})
	records := map[uint64]job.Record{}
	for i := range uint64(30) {
		r := scheduled(i+1, at(0), job.Position{})
		records[r.Revision] = r
		a.Observe(r)
	}
	fire := func(now time.Time) int {
		n := 0
		for range 2 { // what is called up fires the next time
			for _, seq := range a.ToLoad(now) {
				a.Took(records[seq], now)
			}
			n += len(a.ToFire(now, 100))
		}
		return n
	}
	fire(at(0))
	if got := a.ToPermit(at(0))[k]; got != 25 {
		t.Fatalf("asks for %d permits, want 25", got)
	}
	var permits []time.Time
	for i := range 25 {
		permits = append(permits, at(10*i))
	}
	a.Permitted(k, at(0), permits...)
	out = 0
	if got := fire(at(400)); got != 0 {
		t.Fatalf("%d fire through a shut gate", got)
	}
	out = streams.GateLimit
	if got := fire(at(400)); got != 10 {
		t.Errorf("%d fire at once when it opens, want the 10 of the last quarter of a second", got)
	}
	if got := a.ToPermit(at(400))[k]; got != 20 {
		t.Errorf("asks for %d permits, want 20 for those that are left", got)
	}
	// Those of a burst are for a time that is long past.
	a.Permitted(k, at(500), at(-500), at(-490))
	if got := fire(at(600)); got != 2 {
		t.Errorf("%d fire with two permits of a burst, want both", got)
	}
}

// A record that was called up is ahead of those that come due while it is loaded.
func TestAgendaKeepsTheOrderOfTheCalled(t *testing.T) {
	k := job.RouteKey{DB: "db", ID: "r"}
	a := streams.NewAgendaWith(func(job.RouteKey) streams.Opening {
		return streams.Opening{Out: streams.GateLimit, PerSecond: 100}
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
	a.Took(first, at(2))
	a.ToFire(at(2), 10) // parks it
	a.ToPermit(at(2))
	a.Permitted(k, at(2), at(2))
	load(first, at(3))
	a.Observe(second)
	load(second, at(3))
	a.Took(second, at(3))
	if got := seqs(a.ToFire(at(3), 10)); got != nil {
		t.Errorf("%v fire, want none before the first one", got)
	}
	a.Took(first, at(4))
	if got := seqs(a.ToFire(at(4), 10)); !slices.Equal(got, []uint64{1}) {
		t.Errorf("%v fire, want the first one", got)
	}
}

func claimOf(r job.Record, revision uint64) job.Record {
	c := r.Claim(epoch, 1, 1, time.Hour, "fire")
	c.Revision = revision
	return c
}
