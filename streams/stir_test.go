package streams_test

import (
	"context"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/streams"
)

// stirs collects the routes that may have fires, until the test ends.
func (f *fixture) stirs() <-chan job.RouteKey {
	told := make(chan job.RouteKey, 10000)
	f.t.Cleanup(f.Inboxes().Notify(func(k job.RouteKey) { told <- k }))
	return told
}

func (f *fixture) stirred(told <-chan job.RouteKey, want job.RouteKey) {
	f.t.Helper()
	eventually(f.t, "route "+want.ID+" is said to have a fire", func() bool {
		select {
		case k := <-told:
			return k == want
		default:
			return false
		}
	})
}

// Workers are notified of each fire: a route without one is left in peace, and a route
// whose job is not finished is busy.
func TestFiresAreAnnounced(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	r := f.route("r", job.REST)
	f.route("idle", job.REST)
	told := f.stirs()
	f.run()
	if f.Inboxes().Busy(r.RouteKey) {
		t.Error("a route without jobs is busy")
	}
	f.create(newJob("a", "r", time.Now()))
	f.stirred(told, r.RouteKey)
	h := f.fetch("r")
	eventually(t, "the route is busy", func() bool { return f.Inboxes().Busy(r.RouteKey) })
	if err := f.Jobs().Finish(t.Context(), h.Fire, job.Result{Status: job.Delivered}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the route is busy no more", func() bool { return !f.Inboxes().Busy(r.RouteKey) })
	for len(told) > 0 {
		if k := <-told; k.ID == "idle" {
			t.Error("a route without fires was said to have one")
		}
	}
}

// A fire may be left in the inbox though its job is over, because its ack was lost or its
// dead letter is still to be written. A start finds it, and so does the walk over the
// inboxes.
func TestFiresLeftBehindAreFound(t *testing.T) {
	t.Parallel()
	cfg := streams.Config{FiresMaxAge: time.Minute} // a walk each quarter of a second
	f := open(t, cfg)
	r := f.route("r", job.REST)
	f.route("idle", job.REST)
	stop := f.run()
	f.create(newJob("a", "r", time.Now()))
	h := f.fetch("r")
	if err := f.Jobs().Finish(t.Context(), h.Fire, job.Result{Status: job.Delivered}); err != nil {
		t.Fatal(err)
	}
	stop()

	f.reopen(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	waiting := map[string]bool{}
	err := f.Inboxes().Follow(ctx, func(in job.Inbox) {
		if waiting[in.ID] = in.Waiting; len(waiting) == 2 {
			cancel()
		}
	})
	if err != nil || !waiting["r"] || waiting["idle"] {
		t.Errorf("a start finds fires waiting in %v, %v; want in r alone", waiting, err)
	}

	f.run()
	eventually(t, "the job is over", func() bool { return !f.Inboxes().Busy(r.RouteKey) })
	told := f.stirs()
	f.stirred(told, r.RouteKey) // only the walk can report it
	for len(told) > 0 {
		if k := <-told; k.ID == "idle" {
			t.Error("a route without fires was said to have one")
		}
	}
}
