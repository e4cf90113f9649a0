package delivery_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/delivery"
	"belfry/internal/job"
)

// TestHandover has one fire for each condition that a fire can be in.
func TestHandover(t *testing.T) {
	t.Parallel()
	standing := func(st job.Standing, rec job.Record, err error) func(*store) {
		return func(s *store) {
			s.standing = func(job.Fire) (job.Standing, job.Record, error) { return st, rec, err }
		}
	}
	tests := []struct {
		name    string
		prepare func(*store)
		answer  int // the receiver's; 0 when it must not be asked
		times   int
		attempt int

		finished, buried []job.Result
		acked            int
	}{
		{name: "delivered", answer: 204, finished: []job.Result{{Status: job.Delivered}}, acked: 1},
		{name: "gone", answer: 410, acked: 1,
			finished: []job.Result{{Status: job.Dead, Reason: job.ReasonGone, Detail: "status 410"}}},
		{name: "failed", answer: 500, attempt: 2, acked: 1,
			finished: []job.Result{{Status: job.Retrying, RetryAt: 3_000, Reason: job.ReasonFailed, Detail: "status 500"}}},
		{name: "exhausted", answer: 500, attempt: 3, acked: 1,
			finished: []job.Result{{Status: job.Dead, Reason: job.ReasonExhausted, Detail: "status 500"}}},
		{name: "handed out again", answer: 200, times: 19, finished: []job.Result{{Status: job.Delivered}}, acked: 1},
		{name: "handed out too often", times: 20, acked: 1,
			finished: []job.Result{{Status: job.Retrying, RetryAt: 1_000, Reason: job.ReasonFailed, Detail: "handed out 20 times without a result"}}},
		{name: "handed out too often at last", times: 21, attempt: 3, acked: 1,
			finished: []job.Result{{Status: job.Dead, Reason: job.ReasonExhausted, Detail: "handed out 21 times without a result"}}},
		{name: "route deleted", prepare: func(s *store) { s.routeErr = job.ErrRouteNotFound }, times: 9, acked: 1,
			finished: []job.Result{{Status: job.Dead, Reason: job.ReasonNoRoute}}},
		{name: "route unknown", prepare: func(s *store) { s.routeErr = job.ErrUnavailable }},
		{name: "superseded", prepare: standing(job.Superseded, job.Record{}, nil), times: 9, acked: 1},
		{name: "buried", prepare: standing(job.Buried, job.Record{Reason: job.ReasonGone, Detail: "status 410"}, nil), acked: 1,
			buried: []job.Result{{Status: job.Dead, Reason: job.ReasonGone, Detail: "status 410"}}},
		{name: "buried, but DEAD is down", prepare: func(s *store) {
			standing(job.Buried, job.Record{}, nil)(s)
			s.buryErr = job.ErrUnavailable
		}},
		{name: "undecided", prepare: standing(job.Undecided, job.Record{}, nil), times: 9},
		{name: "standing unknown", prepare: standing(job.Valid, job.Record{}, job.ErrUnavailable), times: 9},
		{name: "result refused", answer: 200, prepare: func(s *store) { s.finishErr = func(int) error { return errBroken } }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := newReceiver(t, status(tt.answer))
				s := newStore(t)
				if tt.prepare != nil {
					tt.prepare(s)
				}
				s.run(delivery.Config{
					Retry: job.RetryPolicy{MaxAttempts: 3, First: time.Second, Multiplier: 3, Max: time.Hour},
					Now:   func() time.Time { return time.UnixMilli(0) },
				}, rec.dial)
				s.fire(s.addRoute("r", "http://h.example/"), func(h *job.Handover) {
					h.Times = max(tt.times, 1)
					h.Attempt = max(tt.attempt, 1)
				})
				synctest.Wait()

				posts := 0
				if tt.answer != 0 {
					posts = 1
				}
				if got := len(rec.requests()); got != posts {
					t.Errorf("got %d POSTs, want %d", got, posts)
				}
				if diff := cmp.Diff(tt.finished, results(s.finished)); diff != "" {
					t.Errorf("finished (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.buried, results(s.buried)); diff != "" {
					t.Errorf("buried (-want +got):\n%s", diff)
				}
				if len(s.acked) != tt.acked {
					t.Errorf("got %d acks, want %d", len(s.acked), tt.acked)
				}
			})
		})
	}
}

func results(ws []written) []job.Result {
	var rs []job.Result
	for _, w := range ws {
		rs = append(rs, w.Result)
	}
	return rs
}

// TestRetryAtCountsFromEndOfTry has a try that takes its whole timeout.
func TestRetryAtCountsFromEndOfTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, hang)
		s := newStore(t)
		s.run(delivery.Config{Retry: job.RetryPolicy{MaxAttempts: 2, First: time.Second, Multiplier: 3, Max: time.Hour}}, rec.dial)
		begin := time.Now()
		s.fire(s.addRoute("r", "http://h.example/"))
		want := job.Result{
			Status: job.Retrying, RetryAt: begin.Add(16 * time.Second).UnixMilli(),
			Reason: job.ReasonFailed, Detail: "timeout after 15s",
		}
		if got := s.awaitResult(1); got != want {
			t.Errorf("result: got %+v, want %+v", got, want)
		}
		s.awaitAcks(1)
		if n := get(s, func() int { return s.extended }); n < 14 || n > 15 {
			t.Errorf("the fire was extended %d times in 15 s, want once a second", n)
		}
		time.Sleep(time.Minute)
		if n := get(s, func() int { return s.extended }); n > 15 {
			t.Errorf("the fire is extended after its ack, %d times in all", n)
		}
	})
}

// Results that are being stored hold up the next POSTs only when they are many,
// or when the route has a limit of its own.
func TestStoringHoldsNoSlot(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		policy job.Policy
		posts  int
	}{
		{"4 slots", job.Policy{}, 4 * (1 + delivery.StoringPerSlot)},
		{"limit of 4", job.Policy{Concurrency: 4}, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const fires = 40
				rec := newReceiver(t, status(200))
				s := newStore(t)
				begin := time.Now()
				s.finishErr = func(int) error {
					if time.Since(begin) < 10*time.Second {
						return job.ErrUnavailable
					}
					return nil
				}
				s.run(delivery.Config{}, rec.dial)
				key := s.addPolicy("r", "http://h.example/", tt.policy)
				for range fires {
					s.fire(key)
				}
				synctest.Wait()
				if got := len(rec.requests()); got != tt.posts {
					t.Errorf("%d POSTs while no result can be stored, want %d", got, tt.posts)
				}
				s.awaitAcks(fires)
				if got := len(rec.requests()); got != fires {
					t.Errorf("%d POSTs in all, want %d", got, fires)
				}
			})
		})
	}
}

// TestStoreDownAfterPOST keeps the store down for some minutes after a POST
// that the receiver accepted: one POST, one result, and a held fire.
func TestStoreDownAfterPOST(t *testing.T) {
	t.Parallel()
	for _, trouble := range []error{job.ErrUnavailable, job.ErrUnknownOutcome, context.DeadlineExceeded} {
		t.Run(trouble.Error(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := newReceiver(t, status(200))
				s := newStore(t)
				begin := time.Now()
				s.finishErr = func(int) error {
					if time.Since(begin) < 3*time.Minute {
						return trouble
					}
					return nil
				}
				s.run(delivery.Config{}, rec.dial)
				key := s.addRoute("r", "http://h.example/")
				f := s.fire(key)
				synctest.Wait()

				// Its hold on the fire is lost, too, so it is handed out again.
				s.fire(key, func(h *job.Handover) { h.Fire = f; h.Times = 2 })
				time.Sleep(3*time.Minute + 10*time.Second)
				synctest.Wait()

				if got := rec.requests(); len(got) != 1 {
					t.Errorf("got POSTs %q, want one", got)
				}
				if diff := cmp.Diff([]job.Result{{Status: job.Delivered}}, results(s.finished)); diff != "" {
					t.Errorf("finished (-want +got):\n%s", diff)
				}
				if n := get(s, func() int { return s.extended }); n < 179 || n > 190 {
					t.Errorf("the fire was extended %d times in three minutes, want once a second", n)
				}
				if len(s.acked) != 1 {
					t.Errorf("got %d acks, want 1", len(s.acked))
				}
			})
		})
	}
}

// TestStoreDownForGood bounds the repeats; the fire is tried again then.
func TestStoreDownForGood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, status(200))
		s := newStore(t)
		s.finishErr = func(int) error { return job.ErrUnavailable }
		s.run(delivery.Config{}, rec.dial)
		key := s.addRoute("r", "http://h.example/")
		f := s.fire(key)
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		before := s.finishes
		time.Sleep(time.Hour)
		synctest.Wait()
		if s.finishes != before || len(s.acked) != 0 {
			t.Errorf("after 11 minutes: got %d more writes and %d acks, want none", s.finishes-before, len(s.acked))
		}

		s.change(func() { s.finishErr = nil })
		s.fire(key, func(h *job.Handover) { h.Fire = f; h.Times = 2 })
		s.awaitAcks(1)
		if got := rec.requests(); len(got) != 2 {
			t.Errorf("got %d POSTs, want 2", len(got))
		}
	})
}

// TestDeathWrittenWithTrouble: Finish itself writes the copy in DEAD that an earlier
// call stopped short of, so its success is enough for the ack.
func TestDeathWrittenWithTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, status(410))
		s := newStore(t)
		s.finishErr = func(call int) error {
			if call == 1 {
				return job.ErrUnknownOutcome
			}
			return nil
		}
		s.run(delivery.Config{}, rec.dial)
		s.fire(s.addRoute("r", "http://h.example/"))
		s.awaitAcks(1)
		if s.finishes != 2 {
			t.Errorf("the death was written %d times, want 2", s.finishes)
		}
	})
}

// TestPUTIsFollowed changes the route between two tries.
func TestPUTIsFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, nil)
		s := newStore(t)
		s.run(delivery.Config{DefaultScheme: "http"}, rec.dial)
		key := s.addRoute("r", "old.example/x")
		s.fire(key)
		s.awaitAcks(1)
		s.setURL(key, "new.example/y")
		s.visit(job.Inbox{RouteKey: key, Type: job.REST})
		s.fire(key)
		s.awaitAcks(2)
		want := []string{`POST old.example/x {"n":1}`, `POST new.example/y {"n":1}`}
		if diff := cmp.Diff(want, rec.requests()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

// TestAckFails does no harm: the fire will be superseded.
func TestAckFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, nil)
		s := newStore(t)
		s.run(delivery.Config{}, rec.dial)
		key := s.addRoute("r", "http://h.example/")
		h := s.handover(key)
		h.Ack = func() error { return errors.Join(job.ErrUnavailable) }
		s.boxes[key].fires <- h
		s.awaitResult(1)
		synctest.Wait()
		if got := s.finishes; got != 1 {
			t.Errorf("got %d writes of the result, want 1", got)
		}
	})
}
