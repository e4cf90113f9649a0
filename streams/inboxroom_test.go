package streams_test

import (
	"context"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/internal/jobtest"
	"belfry/internal/room"
	"belfry/streams"
	"belfry/streams/wire"
)

// A deleted route that had large fires leaves nothing behind, whichever node removes its
// inbox.
func TestDeletedRouteWithLargeFiresIsForgotten(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{InFlight: room.New(room.Config{Bytes: 2 << 20}), MaxMeta: 128 << 10})
	f.run()
	for _, removed := range []string{"by this node", "by another one, while a worker of this one was there", "by another one"} {
		r := f.route("r", job.REST)
		j := newJob(removed[:2]+time.Now().Format("150405.000000000"), "r", time.Now())
		j.Meta = jobtest.Meta(jobtest.LargeSize)
		f.create(j)
		h := f.fetch("r")
		h.Released()
		if err := h.Ack(); err != nil {
			t.Fatal(err)
		}
		if n := f.LargePulls(); n != 1 {
			t.Fatalf("%d routes are known to have large fires, want 1", n)
		}
		if err := f.Routes().Delete(t.Context(), r.RouteKey, 0); err != nil {
			t.Fatal(err)
		}
		if removed != "by this node" {
			if err := f.js.DeleteConsumer(t.Context(), streams.FiresStream, wire.InboxConsumer(r.RouteKey)); err != nil {
				t.Fatal(err)
			}
		}
		if removed == "by another one" { // no worker is there, and the node only sees the removal
			ctx, stop := context.WithCancel(t.Context())
			go f.Inboxes().Follow(ctx, func(job.Inbox) {})
			eventually(t, "it is forgotten", func() bool { return f.LargePulls() == 0 })
			stop()
			continue
		}
		if err := f.Inboxes().Remove(t.Context(), r.RouteKey); err != nil {
			t.Fatal(err)
		}
		if n := f.LargePulls(); n != 0 {
			t.Errorf("removed %s: %d routes are known to have large fires, want none", removed, n)
		}
	}
}
