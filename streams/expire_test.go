package streams_test

import (
	"strings"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/internal/metrics/metricstest"
	"belfry/streams"
)

// A job of a NATS route that would fire too late expires without a claim.
func TestNATSJobExpires(t *testing.T) {
	t.Parallel()
	m := metricstest.New()
	f := open(t, streams.Config{Metrics: m.Streams})
	r := f.route("r", job.NATS)
	r.MaxLateness = time.Minute
	if err := f.Routes().Replace(t.Context(), r, 0); err != nil {
		t.Fatal(err)
	}
	f.run()
	late, inTime := newJob("late", "r", time.Now().Add(-2*time.Minute)), newJob("in time", "r", time.Now().Add(-time.Second))
	f.create(late)
	f.create(inTime)
	f.reaches(inTime.Key, job.Published)
	got := f.reaches(late.Key, job.Expired)
	if got.Reason != job.ReasonTooLate || !strings.HasSuffix(got.Detail, "ms late, of 60000 at most") || got.Attempt != 0 {
		t.Errorf("the late job is %+v, want it expired as too late, without an attempt", got)
	}
	becomes(t, m, `belfry_jobs_finished_total{status="expired"}`, 1)
	becomes(t, m, `belfry_jobs_waiting{partition="0"}`, 0)
	if n := len(f.messages("FIRES", "fires.>")); n != 1 {
		t.Errorf("%d fires, want that of the job in time", n)
	}
}
