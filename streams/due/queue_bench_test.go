package due

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"belfry/internal/job"
)

// benchPending is how many jobs wait while one is measured.
const benchPending = 1_000_000

var benchStart = time.UnixMilli(1_700_000_000_000)

// pendingQueue returns a queue of jobs that are due at random within a day, starting an
// hour from now.
func pendingQueue() (*Queue, *rand.Rand) {
	a := NewQueue(func(job.RouteKey) GateState { return GateState{Out: Unlimited} }, func(job.RouteKey) {})
	random := rand.New(rand.NewPCG(1, 2))
	for i := range benchPending {
		a.Observe(benchRecord(uint64(i+1), benchStart.Add(time.Hour+time.Duration(random.Int64N(int64(24*time.Hour))))))
	}
	return a, random
}

func benchRecord(seq uint64, due time.Time) job.Record {
	return job.Record{
		Arming: job.Arming{Job: job.Job{
			Key:     job.Key{DB: "db", Collection: "c", ID: fmt.Sprint("job-", seq)},
			Trigger: due.UnixMilli(), Route: "r",
		}},
		Status: job.Scheduled, Due: due.UnixMilli(), Revision: seq,
	}
}

// A new job comes and goes among a million.
func BenchmarkQueueObserve(b *testing.B) {
	a, random := pendingQueue()
	seq := uint64(benchPending)
	for b.Loop() {
		seq++
		r := benchRecord(seq, benchStart.Add(time.Hour+time.Duration(random.Int64N(int64(24*time.Hour)))))
		a.Observe(r)
		a.forget(r.Position())
	}
}

// A job comes due among a million: it is loaded, fired, claimed and finished.
func BenchmarkQueueFire(b *testing.B) {
	a, _ := pendingQueue()
	seq := uint64(benchPending)
	for b.Loop() {
		seq++
		r := benchRecord(seq, benchStart)
		a.Observe(r)
		for range a.ToLoad(benchStart) {
			a.SetLoaded(r, benchStart)
		}
		due := a.ToFire(benchStart, 1)
		if len(due) != 1 {
			b.Fatalf("toFire: got %d records, want 1", len(due))
		}
		claim := due[0].Claim(benchStart, 1, 0, time.Hour, "op")
		seq++
		claim.Revision = seq
		a.Observe(claim)
		final := claim.Finish(job.Result{Status: job.Published}, benchStart)
		seq++
		final.Revision = seq
		a.Observe(final)
	}
}

// A start builds the queue of a million pending jobs.
func BenchmarkQueueBuild(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	dues := make([]int64, benchPending)
	for i := range dues {
		dues[i] = benchStart.Add(time.Hour + time.Duration(random.Int64N(int64(24*time.Hour)))).UnixMilli()
	}
	for b.Loop() {
		a := NewQueue(func(job.RouteKey) GateState { return GateState{Out: Unlimited} }, func(job.RouteKey) {})
		for i, due := range dues {
			a.Observe(job.Record{Status: job.Scheduled, Due: due, Revision: uint64(i + 1)})
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchPending, "ns/job")
}
