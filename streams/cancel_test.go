package streams_test

import (
	"testing"

	"belfry/internal/job"
	"belfry/streams"
)

func TestCancelByFilter(t *testing.T) {
	f := open(t, streams.Config{Partitions: 2})
	f.jobsOf("db", "coll", "r", 0, 30)
	f.jobsOf("db", "coll", "s", 30, 40)
	f.jobsOf("db", "other", "r", 0, 5)
	cancel := func(q job.Query, dry bool, want int) {
		t.Helper()
		got := 0
		for {
			run, err := f.Jobs().CancelEach(t.Context(), q, dry)
			if err != nil {
				t.Fatalf("cancel %+v: %v", q, err)
			}
			if q.Limit > 0 && run.Cancelled > q.Limit || run.Skipped > 0 {
				t.Errorf("cancel %+v: %+v in one request", q, run)
			}
			got += run.Cancelled
			if q.Cursor = run.Cursor; q.Cursor == (job.Cursor{}) {
				break
			}
		}
		if got != want {
			t.Errorf("cancel %+v, dry %v: %d jobs, want %d", q, dry, got, want)
		}
	}
	cancel(job.Query{DB: "db", Route: "r"}, true, 35)
	cancel(job.Query{DB: "db", Collection: "coll", Route: "r", Limit: 4}, false, 30)
	cancel(job.Query{DB: "db", Collection: "coll", Route: "r"}, false, 0)
	cancel(job.Query{DB: "db", DueBefore: farOff.UnixMilli() + 1}, false, 1)
	left, _ := f.list(job.Query{DB: "db", Status: job.Scheduled})
	if len(left) != 14 {
		t.Errorf("%d jobs are left, want 14", len(left))
	}
	cancel(job.Query{DB: "db"}, false, 14)
}
