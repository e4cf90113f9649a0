package delivery_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"belfry/delivery"
	"belfry/internal/job"
)

// An endpoint that is down gets no tries but a probe after each pause. Its jobs are
// put back unchanged, and go on when it is back.
func TestBreaker(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		down  int  // the status of an endpoint that is down
		trips bool // whether it counts as down
	}{
		"unavailable":       {503, true},
		"broken":            {500, true},
		"too many requests": {429, true},
		"refuses each try":  {404, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var code atomic.Int64
				code.Store(int64(tt.down))
				rec := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(code.Load())) })
				s := newStore(t)
				s.concurrency = 1
				due := time.Now().Add(-time.Second).UnixMilli()
				s.standing = func(job.Fire) (job.Standing, job.Record, error) {
					return job.Valid, job.Record{Replaces: job.Position{Due: due}}, nil
				}
				s.run(delivery.Config{}, rec.dial)
				key := s.addRoute("r", "http://h.example/")
				fires := func(n int) (posts int) {
					before := len(rec.requests())
					acked := s.acks()
					for range n {
						s.fire(key)
					}
					s.awaitAcks(acked + n)
					return len(rec.requests()) - before
				}
				if got := fires(20); got != 20 {
					t.Errorf("of 20 fires %d were tried", got)
				}
				want := 5
				if tt.trips {
					want = 0
				}
				if got := fires(5); got != want {
					t.Errorf("after 20 answers with status %d, 5 fires make %d tries, want %d", tt.down, got, want)
				}
				last := s.awaitResult(25)
				if back := last == (job.Result{Status: job.Scheduled, RetryAt: due}); back != tt.trips {
					t.Errorf("the last result is %+v; put back: %v, want %v", last, back, tt.trips)
				}
				if !tt.trips {
					return
				}
				time.Sleep(10 * time.Second)
				if got := fires(1); got != 1 {
					t.Errorf("after the pause a fire makes %d tries, want the probe", got)
				}
				if got := fires(3); got != 0 {
					t.Errorf("after a probe that failed 3 fires make %d tries, want none", got)
				}
				time.Sleep(10 * time.Second)
				code.Store(200)
				if got := fires(4); got != 4 {
					t.Errorf("of an endpoint that is back 4 fires make %d tries", got)
				}
				if _, tripped := s.Tripped(key); tripped {
					t.Error("the breaker is still open")
				}
			})
		})
	}
}

// Failures in a row count however far apart they are, such as those of an endpoint
// that lets each try time out.
func TestBreakerOfASlowRoute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		rec := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			if n.Add(1) != 10 {
				w.WriteHeader(500)
			}
		})
		s := newStore(t)
		s.concurrency = 1
		s.run(delivery.Config{}, rec.dial)
		key := s.addRoute("r", "http://h.example/")
		for i := range 35 {
			s.fire(key)
			s.awaitAcks(i + 1)
			time.Sleep(time.Second)
		}
		// Nine fail, the tenth comes through, and twenty more fail.
		if got := n.Load(); got != 30 {
			t.Errorf("%d of 35 fires were tried, want 30 until the breaker trips", got)
		}
	})
}

// Most of many is enough, though some get through.
func TestBreakerByShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		rec := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			if n.Add(1)%15 != 0 {
				w.WriteHeader(500)
			}
		})
		s := newStore(t)
		s.concurrency = 1
		s.run(delivery.Config{}, rec.dial)
		key := s.addRoute("r", "http://h.example/")
		for range 120 {
			s.fire(key)
		}
		s.awaitAcks(120)
		if got := n.Load(); got != 100 {
			t.Errorf("%d of 120 fires were tried, want 100 until the breaker trips", got)
		}
	})
}

// The results of tries that were under way when the breaker tripped say nothing about
// the endpoint by now: only a try begun after the pause does.
func TestBreakerAndTriesUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan int)
		rec := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
			select {
			case status := <-answers:
				w.WriteHeader(status)
			case <-r.Context().Done():
			}
		})
		s := newStore(t)
		s.concurrency = 30
		s.run(delivery.Config{}, rec.dial)
		key := s.addPolicy("r", "http://h.example/", job.Policy{Timeout: time.Minute})
		fire := func() { s.fire(key); synctest.Wait() }
		answer := func(status int) { answers <- status; synctest.Wait() }
		stands := func(when string, want time.Time) {
			t.Helper()
			if until, tripped := s.Tripped(key); !tripped || !until.Equal(want) {
				t.Errorf("%s the breaker is open: %v, until %v; want until %v", when, tripped, until, want)
			}
		}
		for range 24 {
			fire()
		}
		for range 20 {
			answer(500)
		}
		until := time.Now().Add(10 * time.Second)
		stands("after 20 failures", until)
		answer(200)
		stands("when one is answered that was under way", until)
		fire()
		if got := s.awaitResult(22); got.Status != job.Scheduled {
			t.Errorf("the next fire ends as %s, want it put back", got.Status)
		}
		time.Sleep(time.Until(until))
		answer(200)
		answer(500)
		stands("after the pause, when one is answered and one fails that were under way", until)
		answer(500)
		fire()
		answer(200)
		if until, tripped := s.Tripped(key); tripped {
			t.Errorf("after a try that began after the pause and was answered, the breaker is open until %v", until)
		}
	})
}

// A paused route's fires are put back untried.
func TestPausedRoute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, nil)
		s := newStore(t)
		s.run(delivery.Config{}, rec.dial)
		s.standing = func(job.Fire) (job.Standing, job.Record, error) {
			return job.Valid, job.Record{Reason: job.ReasonFailed, Detail: "status 500"}, nil
		}
		f := s.fire(s.addPolicy("r", "http://h.example/", job.Policy{Paused: true}))
		want := job.Result{Status: job.Scheduled, RetryAt: f.Trigger, Reason: job.ReasonFailed, Detail: "status 500"}
		if got := s.awaitResult(1); got != want {
			t.Errorf("a fire of a paused route ends with %+v, want %+v", got, want)
		}
		until := time.Now().Add(time.Minute)
		key := s.addPolicy("r", "http://h.example/", job.Policy{PausedUntil: until.UnixMilli()})
		s.fire(key)
		if got := s.awaitResult(2); got.Status != job.Scheduled {
			t.Errorf("a fire before the end of a pause ends with %+v", got)
		}
		time.Sleep(time.Until(until))
		s.fire(key)
		if got := s.awaitResult(3); got.Status != job.Delivered {
			t.Errorf("a fire after the pause ends with %+v", got)
		}
		if got := len(rec.requests()); got != 1 {
			t.Errorf("%d tries were made, want the last", got)
		}
	})
}

// A timer whose clock is ahead opens a gate before the worker would. The worker
// follows the timer's clock, or it would put each fire back and get it again at once.
// Fires from before the timer shut the gate are put back, and so are all fires if its
// clock is behind.
func TestGatesGoByTheClockOfTheTimer(t *testing.T) {
	t.Parallel()
	const skew = 3 * time.Second
	for name, shut := range map[string]func(s *store, key job.RouteKey, until time.Time){
		"pause": func(s *store, _ job.RouteKey, until time.Time) {
			s.addPolicy("r", "http://h.example/", job.Policy{PausedUntil: until.UnixMilli()})
		},
		"breaker": func(s *store, key job.RouteKey, until time.Time) { s.Trip(s.t.Context(), key, until) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := newReceiver(t, nil)
				s := newStore(t)
				s.run(delivery.Config{}, rec.dial)
				key := s.addRoute("r", "http://h.example/")
				until := time.Now().Add(skew)
				shut(s, key, until)
				for i, step := range []struct {
					wait  time.Duration
					fired time.Time // by the clock of the timer
					want  job.Status
				}{
					{0, time.Time{}, job.Scheduled}, // not known
					{0, until.Add(-time.Millisecond), job.Scheduled},
					{0, until.Add(-time.Hour), job.Scheduled},
					{0, until, job.Delivered},
					{skew, until.Add(-time.Hour), job.Delivered},
				} {
					time.Sleep(step.wait)
					s.fire(key, func(h *job.Handover) { h.Fired = step.fired })
					if got := s.awaitResult(i + 1); got.Status != step.want {
						t.Errorf("fired at %v of the pause, %v before its end here: %s, want %s",
							step.fired.Sub(until), time.Until(until), got.Status, step.want)
					}
				}
			})
		})
	}
}

// The pause after a failed probe also counts by the timer's clock. By another clock it
// could be over before it began, and the timer would go on.
func TestBreakerTripsByTheClockOfTheTimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, status(500))
		s := newStore(t)
		s.run(delivery.Config{}, rec.dial)
		key := s.addRoute("r", "http://h.example/")
		timer := func() time.Time { return time.Now().Add(time.Minute) }
		s.Trip(t.Context(), key, timer())
		s.fire(key, func(h *job.Handover) { h.Fired = timer() })
		s.awaitResult(1)
		if until, tripped := s.Tripped(key); !tripped || !until.Equal(timer().Add(10*time.Second)) {
			t.Errorf("after a probe that failed the breaker is open until %v, by the clock of the timer now is %v; want 10 s later", until, timer())
		}
		s.fire(key, func(h *job.Handover) { h.Fired = timer() })
		if got := s.awaitResult(2); got.Status != job.Scheduled || len(rec.requests()) != 1 {
			t.Errorf("the fire after the probe ends as %s after %d tries in all, want it put back", got.Status, len(rec.requests()))
		}
	})
}

func (s *store) Tripped(k job.RouteKey) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, tripped := s.tripped[k]
	return until, tripped
}

func (s *store) Trip(_ context.Context, k job.RouteKey, until time.Time) error {
	s.change(func() { s.tripped[k] = until })
	return nil
}

func (s *store) Reset(_ context.Context, k job.RouteKey) error {
	s.change(func() { delete(s.tripped, k) })
	return nil
}
