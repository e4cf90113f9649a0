package streams_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams"
)

// A mirror that somebody creates of a jobs bucket answers direct gets as well, and is
// behind. Readers still see each write.
func TestMirrorsAreNotBelieved(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	_, err := f.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "KV_copy", Mirror: &jetstream.StreamSource{Name: "KV_jobs_0"}, MirrorDirect: true, AllowDirect: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	j := newJob("a", "r", time.Now().Add(time.Hour))
	f.create(j)
	for i := range 300 {
		j.Trigger = farOff.UnixMilli() + int64(i)
		if err := f.Jobs().Update(t.Context(), j, 0); err != nil {
			t.Fatal(err)
		}
		if got := f.get(j.Key); got.Trigger != j.Trigger {
			t.Fatalf("change %d is read as %d, want %d", i, got.Trigger, j.Trigger)
		}
	}
}
