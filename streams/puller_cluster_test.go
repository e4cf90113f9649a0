package streams_test

import (
	"fmt"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/internal/natstest"
	"belfry/internal/room"
	"belfry/streams"
)

// With replicas a pull ends well, whether its last fires or the server's "complete"
// status comes first. So each fire is delivered once.
func TestFetchWithReplicas(t *testing.T) {
	t.Parallel()
	f := &fixture{t: t}
	f.join(natstest.NewCluster(t, 3, 3).Start(0, 1, 2))
	f.reopen(streams.Config{Replicas: 3, InFlight: room.New(room.Config{Bytes: 64 << 20})})
	f.run()
	r := f.route("r", job.REST)
	const jobs = 60
	for i := range jobs {
		f.create(newJob(fmt.Sprint(i), "r", time.Now()))
	}
	times := map[string]int{}
	for len(times) < jobs {
		err := f.Inboxes().Fetch(t.Context(), r.RouteKey, 4, 10*time.Second, func(h job.Handover) {
			times[h.Key.ID]++
			if err := h.Ack(); err != nil {
				t.Error(err)
			}
			h.Released()
		})
		if err != nil {
			t.Fatalf("after %d jobs: %v", len(times), err)
		}
	}
}
