package due_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/internal/jobtest"
)

// Jobs live random lives, with loads and claims that fail or come late. Every counter
// stays right, nothing fires early or from an old revision, and each arming that is left
// alone fires.
func TestQueueRandomLives(t *testing.T) {
	for seed := range uint64(200) {
		queueLife(t, seed)
	}
}

func queueLife(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	a := newQueue(func(k job.RouteKey) bool { return k.ID == "rest" })
	bucket := map[string]job.Record{} // the stored records, by id
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
				a.Remove(s)
			case !quiet && rnd.IntN(5) == 0:
				a.RetryAt(s, now.Add(time.Second))
			default:
				a.SetLoaded(bucket[id], now)
			}
		}
		for len(claiming) > 0 && (quiet || rnd.IntN(2) == 0) {
			r := claiming[0]
			claiming = claiming[1:]
			switch {
			case bucket[r.ID].Revision != r.Revision:
				a.Remove(r.Revision)
			case !quiet && rnd.IntN(5) == 0:
				a.RetryAt(r.Revision, now.Add(time.Second))
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
		j := jobtest.New(id, []string{"rest", "nats"}[rnd.IntN(2)], now.Add(time.Duration(rnd.IntN(8000)-500)*time.Millisecond))
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
