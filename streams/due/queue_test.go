package due_test

import (
	"slices"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/internal/jobtest"
	"belfry/streams/due"
)

var (
	epoch     = jobtest.Epoch
	at        = jobtest.At
	scheduled = jobtest.Scheduled
)

func none(job.RouteKey) bool { return false }
func all(job.RouteKey) bool  { return true }

// newQueue returns a queue in which the gated routes have the usual limit.
func newQueue(gated func(job.RouteKey) bool) *due.Queue {
	return newQueueWith(func(k job.RouteKey) due.GateState {
		if gated(k) {
			return due.GateState{Out: due.GateLimit}
		}
		return due.GateState{Out: due.Unlimited}
	})
}

func newQueueWith(gates func(job.RouteKey) due.GateState) *due.Queue {
	return due.NewQueue(gates, func(job.RouteKey) {})
}

// wanted returns how many permits are to be requested for each route.
func wanted(q *due.Queue, now time.Time) map[job.RouteKey]int {
	all := map[job.RouteKey]int{}
	for _, r := range q.PermitsWanted(now) {
		all[r.Route] = r.N
	}
	return all
}

// observeLarge observes a record with a value of that many bytes.
func observeLarge(q *due.Queue, r job.Record, bytes int) {
	q.Observe(r)
	q.Weigh(r, bytes)
}

func seqs(records []job.Record) []uint64 {
	var s []uint64
	for _, r := range records {
		s = append(s, r.Revision)
	}
	return s
}

func TestQueueNeverEarly(t *testing.T) {
	a := newQueue(none)
	r := scheduled(1, at(900), job.Position{})
	a.Observe(r)
	a.SetLoaded(r, at(0)) // not requested, so ignored
	if got := a.ToLoad(at(0)); !slices.Equal(got, []uint64{1}) {
		t.Fatalf("to load: %v, want [1]", got)
	}
	a.SetLoaded(r, at(0))
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

func TestQueueLoadsShortlyBefore(t *testing.T) {
	a := newQueue(none)
	a.Observe(scheduled(1, at(3_600_000), job.Position{}))
	if got := a.ToLoad(at(0)); got != nil {
		t.Errorf("loads %v an hour ahead", got)
	}
	next := a.NextLoad()
	if got := a.ToLoad(next); !slices.Equal(got, []uint64{1}) {
		t.Errorf("at its next load %v loads %v, want [1]", next, got)
	}
}

func TestQueueKeepsOneEntryPerJob(t *testing.T) {
	a := newQueue(none)
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

// A stale load must not bring back a replaced record. A late due time must not fire
// early.
func TestQueueBelievesTheRecord(t *testing.T) {
	a := newQueue(none)
	old := scheduled(1, at(100), job.Position{})
	a.Observe(old)
	a.ToLoad(at(0))
	a.Observe(scheduled(2, at(5_000_000), old.Position()))
	a.SetLoaded(old, at(0))
	if got := a.ToFire(at(1000), 10); got != nil {
		t.Errorf("fires %v, which was replaced", seqs(got))
	}
	a.ObserveUnknown(job.Record{Arming: job.Arming{Job: job.Job{Key: job.Key{DB: "db", Collection: "coll", ID: "3"}}}, Revision: 3})
	if got := a.ToLoad(at(0)); !slices.Equal(got, []uint64{3}) {
		t.Fatalf("to load: %v, want [3] at once", got)
	}
	a.SetLoaded(scheduled(3, at(9_000_000), job.Position{}), at(0))
	if got := a.ToFire(at(1000), 10); got != nil {
		t.Errorf("fires %v, due much later", seqs(got))
	}
	if next := a.NextLoad(); next.Before(at(1000)) {
		t.Errorf("loads again at %v", next)
	}
}

func TestQueueTriesAgainAfterFailure(t *testing.T) {
	a := newQueue(none)
	r := scheduled(1, at(0), job.Position{})
	a.Observe(r)
	a.ToLoad(at(0))
	a.RetryAt(1, at(1000))
	if got := a.ToLoad(at(999)); got != nil {
		t.Errorf("loads %v before the time to try again", got)
	}
	if got := a.ToLoad(at(1000)); !slices.Equal(got, []uint64{1}) {
		t.Errorf("loads %v at the time to try again, want [1]", got)
	}
}

// The bucket keeps only the last record of a job, so the tail may miss those between. A
// claim among them must not count forever.
func TestQueueForgetsClaimsItMissedTheEndOf(t *testing.T) {
	a := newQueue(all)
	for i := range uint64(due.GateLimit) {
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

	// The same holds for a claim when only its end was seen.
	b := newQueue(none)
	r := scheduled(1, at(0), job.Position{})
	b.Observe(r)
	b.ToLoad(at(0))
	b.SetLoaded(r, at(0))
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

// Jobs that are due now are loaded before later ones, however many of the later ones are
// loaded already.
func TestQueueLoadsTheNextFirst(t *testing.T) {
	a := newQueue(none)
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
			a.SetLoaded(later(seq), at(0))
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
