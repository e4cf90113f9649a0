package delivery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/delivery"
	"belfry/internal/job"
)

// deleteRoute deletes a REST route; its inbox is orphaned.
func (s *store) deleteRoute(key job.RouteKey) {
	s.change(func() { delete(s.routes, key) })
	s.visit(job.Inbox{RouteKey: key, Type: job.REST, Orphaned: true})
}

func (s *store) removed(key job.RouteKey) bool {
	return get(s, func() bool { return s.boxes[key].removed })
}

// TestDeletedRESTRoute lets what is left die, and a fire that was published
// late, before the inbox goes.
func TestDeletedRESTRoute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, nil)
		s := newStore(t)
		s.run(delivery.Config{}, rec.dial)
		key := s.addRoute("r", "http://h.example/")
		synctest.Wait()
		s.deleteRoute(key)
		s.fire(key)
		time.Sleep(70 * time.Second)
		s.fire(key)
		s.awaitAcks(2)
		want := []job.Result{{Status: job.Dead, Reason: job.ReasonNoRoute}, {Status: job.Dead, Reason: job.ReasonNoRoute}}
		if diff := cmp.Diff(want, results(s.finished)); diff != "" {
			t.Errorf("finished (-want +got):\n%s", diff)
		}
		if got := rec.requests(); len(got) != 0 {
			t.Errorf("got POSTs %q, want none", got)
		}

		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !s.removed(key) {
			t.Error("the settled inbox is still there, want it removed")
		}
		before := s.boxes[key].fetches
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := s.boxes[key].fetches; got != before {
			t.Errorf("got %d fetches after the inbox was removed, want none", got-before)
		}
	})
}

// TestOrphanGrace removes the inbox no sooner than its grace.
func TestOrphanGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.run(delivery.Config{OrphanGrace: 10 * time.Minute})
		key := job.RouteKey{DB: "db", ID: "r"}
		s.visit(job.Inbox{RouteKey: key, Type: job.REST, Orphaned: true})
		time.Sleep(10*time.Minute - time.Second)
		synctest.Wait()
		if s.removed(key) {
			t.Error("the inbox was removed within its grace")
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if !s.removed(key) {
			t.Error("the inbox is still there long after its grace")
		}
	})
}

// TestUnsettledOrphan keeps an inbox with an unacked fire.
func TestUnsettledOrphan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.standing = func(job.Fire) (job.Standing, job.Record, error) { return job.Undecided, job.Record{}, nil }
		s.run(delivery.Config{})
		key := s.addRoute("r", "http://h.example/")
		s.fire(key)
		s.deleteRoute(key)
		time.Sleep(time.Hour)
		synctest.Wait()
		if s.removed(key) {
			t.Error("the inbox was removed with an unacked fire in it")
		}
	})
}

// TestRouteCreatedAgain revives an orphan, before and after its removal.
func TestRouteCreatedAgain(t *testing.T) {
	t.Parallel()
	for _, deletedFor := range []time.Duration{50 * time.Second, 10 * time.Minute} {
		t.Run(deletedFor.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := newReceiver(t, nil)
				s := newStore(t)
				s.run(delivery.Config{}, rec.dial)
				key := s.addRoute("r", "http://h.example/")
				s.deleteRoute(key)
				time.Sleep(deletedFor)
				synctest.Wait()
				removed := s.removed(key)
				if want := deletedFor > time.Minute; removed != want {
					t.Errorf("inbox removed %v after the deletion: got %v, want %v", deletedFor, removed, want)
				}
				s.change(func() { s.boxes[key].removed = false })
				s.addRoute("r", "http://h.example/")
				time.Sleep(time.Hour)
				s.fire(key)
				s.awaitAcks(1)
				if diff := cmp.Diff([]job.Result{{Status: job.Delivered}}, results(s.finished)); diff != "" {
					t.Errorf("finished (-want +got):\n%s", diff)
				}
				if s.removed(key) {
					t.Error("the inbox was removed though its route is there again")
				}
			})
		})
	}
}

// TestRouteCreatedDuringRemoval must not be left without a pool.
func TestRouteCreatedDuringRemoval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, nil)
		s := newStore(t)
		removing, created := make(chan struct{}), make(chan struct{})
		s.onRemove = func() { close(removing); <-created }
		s.run(delivery.Config{}, rec.dial)
		key := s.addRoute("r", "http://h.example/")
		s.deleteRoute(key)
		<-removing
		s.addRoute("r", "http://h.example/")
		synctest.Wait()
		close(created)
		s.fire(key)
		s.awaitAcks(1)
	})
}

// TestOrphanChangesType creates a deleted REST route again as a NATS route and deletes
// that too. Only the final state is reported.
func TestOrphanChangesType(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.run(delivery.Config{})
		key := s.addRoute("r", "http://h.example/")
		s.deleteRoute(key)
		s.visit(job.Inbox{RouteKey: key, Type: job.NATS, Orphaned: true})
		synctest.Wait()
		s.fire(key)
		s.awaitAcks(1)
		if len(s.buried) != 1 || len(s.finished) != 0 {
			t.Errorf("got %d fires buried and %d finished, want 1 and 0", len(s.buried), len(s.finished))
		}
	})
}

// TestOrphanGraceBeginsAnew deletes a route that was created again shortly
// before its inbox would have gone.
func TestOrphanGraceBeginsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.run(delivery.Config{})
		key := s.addRoute("r", "http://h.example/")
		synctest.Wait()
		s.deleteRoute(key)
		time.Sleep(80 * time.Second) // an idle fetch, and most of the grace
		s.addRoute("r", "http://h.example/")
		s.deleteRoute(key)
		time.Sleep(50 * time.Second)
		synctest.Wait()
		if s.removed(key) {
			t.Error("the inbox was removed 50 s after the second deletion, want at least a minute")
		}
	})
}

// TestNATSRoute leaves the inbox of a live route to its subscribers, and
// buries what is in it once the route is deleted.
func TestNATSRoute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.run(delivery.Config{})
		key := job.RouteKey{DB: "db", ID: "n"}
		live := job.Inbox{RouteKey: key, Type: job.NATS}
		deleted := job.Inbox{RouteKey: key, Type: job.NATS, Orphaned: true}

		s.visit(live)
		s.fire(key)
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := s.boxes[key].fetches; got != 0 {
			t.Errorf("got %d fetches from the inbox of a live NATS route, want none", got)
		}

		s.visit(deleted)
		s.awaitAcks(1)
		want := []job.Result{{Status: job.Dead, Reason: job.ReasonNoRoute}}
		if diff := cmp.Diff(want, results(s.buried)); diff != "" {
			t.Errorf("buried (-want +got):\n%s", diff)
		}

		s.visit(live)
		synctest.Wait()
		before := s.boxes[key].fetches
		s.fire(key)
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := s.boxes[key].fetches; got != before || s.acks() != 1 {
			t.Errorf("route created again: got %d more fetches and %d acks, want 0 and 1", got-before, s.acks())
		}

		s.visit(deleted)
		s.awaitAcks(2)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if !s.removed(key) {
			t.Error("the settled inbox is still there, want it removed")
		}
		if len(s.finished) != 0 {
			t.Errorf("got results %+v, want none: the jobs of a NATS route are finished", results(s.finished))
		}
	})
}
