package streams_test

import (
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/streams"
)

// The record by which a worker judges a fire says when it was due, whoever
// answers.
func TestStandingTellsDue(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.REST)
	f.run()
	j := newJob("j", "r", time.Now().Add(-time.Minute))
	f.create(j)
	fires := make(chan job.Handover, 1)
	if err := f.Inboxes().Fetch(t.Context(), j.RouteKey(), 1, 10*time.Second, func(h job.Handover) { fires <- h }); err != nil {
		t.Fatal(err)
	}
	fire := (<-fires).Fire
	for _, times := range []int{1, 2} { // by the timer's book or a replica, and by the leader
		fire.Times = times
		st, r, err := f.Jobs().Standing(t.Context(), fire)
		if err != nil || st != job.Valid || r.Replaces.Due != j.Trigger {
			t.Errorf("handed out %d times: %v, due %d, %v; want valid and due %d", times, st, r.Replaces.Due, err, j.Trigger)
		}
	}
}
