package delivery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"belfry/delivery"
	"belfry/internal/job"
)

// A route with nothing to deliver costs nothing, and is woken by its next fire.
func TestIdleRouteAsksForNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, nil)
		s := newStore(t)
		s.run(delivery.Config{}, rec.dial)
		key := job.RouteKey{DB: "db", ID: "r"}
		s.routes[key] = job.Route{RouteKey: key, Type: job.REST, WebhookURL: "http://h.example/"}
		s.visit(job.Inbox{RouteKey: key, Type: job.REST})
		fetches := func() int { return get(s, func() int { return s.boxes[key].fetches }) }
		idle := func(why string) {
			t.Helper()
			time.Sleep(time.Hour) // the pool goes to sleep meanwhile
			before := fetches()
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := fetches() - before; n != 0 {
				t.Errorf("%s there were %d fetches in an hour, want none", why, n)
			}
		}
		idle("for a route without fires")
		for n := 1; n <= 3; n++ {
			s.fire(key)
			synctest.Wait()
			if got := s.acks(); got != n {
				t.Fatalf("%d fires were acked at once, want %d", got, n)
			}
			idle("after a fire")
		}
	})
}

// Fires may be handed out again while their jobs are not finished, so their route
// goes on to ask.
func TestBusyRouteGoesOnAsking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, nil)
		s := newStore(t)
		s.busy = true
		s.run(delivery.Config{}, rec.dial)
		key := job.RouteKey{DB: "db", ID: "r"}
		s.routes[key] = job.Route{RouteKey: key, Type: job.REST, WebhookURL: "http://h.example/"}
		s.visit(job.Inbox{RouteKey: key, Type: job.REST}) // asks by itself, since it is busy
		time.Sleep(time.Hour)
		s.boxes[key].fires <- s.handover(key) // by a worker that died; nobody says so
		synctest.Wait()
		if got := s.acks(); got != 1 {
			t.Errorf("%d fires of a busy route were acked, want 1", got)
		}
		s.change(func() { s.busy = false })
		time.Sleep(time.Hour)
		before := get(s, func() int { return s.boxes[key].fetches })
		time.Sleep(time.Hour)
		if n := get(s, func() int { return s.boxes[key].fetches }) - before; n != 0 {
			t.Errorf("a route that is busy no more makes %d fetches in an hour, want none", n)
		}
	})
}

// A fire that comes while the pool goes to sleep is not forgotten.
func TestFireAtTheMomentOfRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, nil)
		s := newStore(t)
		s.run(delivery.Config{}, rec.dial)
		key := job.RouteKey{DB: "db", ID: "r"}
		s.routes[key] = job.Route{RouteKey: key, Type: job.REST, WebhookURL: "http://h.example/"}
		s.visit(job.Inbox{RouteKey: key, Type: job.REST, Waiting: true})
		const each = 15 * time.Second // meets the ends of fetches, which last 30 s
		for n := 1; n <= 40; n++ {
			s.fire(key)
			synctest.Wait()
			if got := s.acks(); got != n {
				t.Fatalf("%d fires were acked, want %d", got, n)
			}
			time.Sleep(each * time.Duration(1+n%4))
		}
	})
}
