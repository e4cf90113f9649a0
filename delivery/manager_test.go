package delivery_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"belfry/delivery"
	"belfry/internal/job"
	"belfry/internal/logtest"
)

// TestSlots delivers a burst over few slots; Fetch checks that there are never more
// fires out than slots.
func TestSlots(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now, most := 0, 0
	enter := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		now++
		most = max(most, now)
		if most == 4 && now == 4 {
			select {
			case <-enter:
			default:
				close(enter)
			}
		}
		mu.Unlock()
		<-enter // the first four are under way together
		mu.Lock()
		now--
		mu.Unlock()
	}))
	t.Cleanup(srv.Close)
	s := newStore(t)
	s.run(delivery.Config{})
	key := s.addRoute("r", srv.URL)
	for range 200 {
		s.fire(key)
	}
	s.awaitAcks(200)
	mu.Lock()
	defer mu.Unlock()
	if most != 4 {
		t.Errorf("at most %d tries were under way at once, want 4", most)
	}
}

// TestHangingEndpoint fills all slots of one route with a dead target on the
// same host as another route's.
func TestHangingEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hang" {
				hang(w, r)
			}
		})
		s := newStore(t)
		s.run(delivery.Config{}, rec.dial)
		dead := s.addRoute("dead", "http://h.example/hang")
		alive := s.addRoute("alive", "http://h.example/")
		for range 20 {
			s.fire(dead)
		}
		synctest.Wait()
		begin := time.Now()
		for range 100 {
			s.fire(alive)
		}
		s.awaitAcks(100)
		if took := time.Since(begin); took != 0 {
			t.Errorf("100 fires of the healthy route took %v, want no time", took)
		}
		time.Sleep(5 * 15 * time.Second) // 20 timeouts, 4 at once
		synctest.Wait()
		if got := s.acks(); got != 120 {
			t.Errorf("got %d acks after all timeouts, want 120", got)
		}
	})
}

// TestFetchTrouble has a store that is down for ten minutes: two lines of log,
// and calls at most 5 s apart, give or take the jitter.
func TestFetchTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, nil)
		s := newStore(t)
		s.busy = true // so that it goes on to fetch
		var logged logtest.Log
		s.run(delivery.Config{Log: logged.Logger()}, rec.dial)
		key := job.RouteKey{DB: "db", ID: "r"}
		s.boxes[key] = &box{fires: make(chan job.Handover, 1), err: errBroken}
		s.addRoute("r", "http://h.example/")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := s.boxes[key].fetches; got < 60 || got > 1200 {
			t.Errorf("got %d fetches in 10 minutes of trouble, want 60 to 1,200 of the four fetchers", got)
		}
		s.change(func() { s.boxes[key].err = nil })
		s.fire(key)
		time.Sleep(time.Minute) // a pause, and an idle fetch
		synctest.Wait()
		if got := s.acks(); got != 1 {
			t.Errorf("got %d acks after the trouble, want 1", got)
		}
		for _, line := range []string{"fires cannot be fetched", "fires are fetched again"} {
			if got := strings.Count(logged.String(), line); got != 1 {
				t.Errorf("got %d lines %q, want 1", got, line)
			}
		}

		// The next trouble is met with short pauses again.
		before := s.boxes[key].fetches
		s.change(func() { s.boxes[key].err = errBroken })
		time.Sleep(32 * time.Second) // an idle fetch, and two seconds
		synctest.Wait()
		if got := s.boxes[key].fetches - before; got < 3 {
			t.Errorf("got %d fetches in the first two seconds of new trouble, want at least 3", got)
		}
	})
}

// TestShutdown ends Run while a try of this length is under way.
func TestShutdown(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		try       time.Duration
		storeDown time.Duration // after the shutdown began
		took      time.Duration
		finished  int
		cut       int // how many tries the log says were cut off
	}{
		{name: "the try ends by itself", try: 14 * time.Second, took: 14 * time.Second, finished: 1},
		{name: "the try is cut off", try: time.Hour, took: 20 * time.Second, cut: 1},
		{name: "the store is down", try: 0, storeDown: time.Hour, took: 25 * time.Second},
		{name: "the store comes back", try: 0, storeDown: 10 * time.Second, took: 20 * time.Second, finished: 1},
		{name: "the store comes back late", try: 19900 * time.Millisecond, storeDown: 20500 * time.Millisecond, took: 22 * time.Second, finished: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) {
					select {
					case <-time.After(tt.try):
					case <-r.Context().Done():
					}
				})
				s := newStore(t)
				var logged logtest.Log
				begin := time.Now()
				s.finishErr = func(int) error {
					if time.Since(begin) < tt.storeDown {
						return job.ErrUnavailable
					}
					return nil
				}
				// The try's own timeout must not be what ends it.
				stop := s.run(delivery.Config{Timeout: 2 * time.Hour, Grace: 20 * time.Second, Log: logged.Logger()}, rec.dial)
				key := s.addRoute("r", "http://h.example/")
				s.fire(key)
				synctest.Wait()
				late := s.handover(key)
				s.boxes[key].grabbed = &late

				if err := stop(); err != nil {
					t.Errorf("Run: got %v, want nil", err)
				}
				if took := time.Since(begin); took > tt.took {
					t.Errorf("Run returned after %v, want at most %v", took, tt.took)
				}
				if len(s.finished) != tt.finished || len(s.acked) != tt.finished {
					t.Errorf("got %d results and %d acks, want %d of each", len(s.finished), len(s.acked), tt.finished)
				}
				if got := rec.requests(); len(got) != 1 {
					t.Errorf("got POSTs %q, want only the one begun before", got)
				}
				if got := strings.Count(logged.String(), `level=WARN msg="tries were cut off by the shutdown; they will be made again" tries=1`); got != tt.cut {
					t.Errorf("got %d lines of tries cut off, want %d:\n%s", got, tt.cut, logged.String())
				}

				// Nothing of Run is left.
				calls := s.finishes + s.boxes[key].fetches
				s.boxes[key].fires <- s.handover(key)
				time.Sleep(time.Hour)
				synctest.Wait()
				if got := s.finishes + s.boxes[key].fetches; got != calls {
					t.Errorf("got %d calls of the store after Run returned, want none", got-calls)
				}
			})
		})
	}
}

// A fetch reserved its slots by a limit that has fallen since: it asks for nothing by
// the old limit.
func TestFetchAfterTheLimitFell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.boxes[job.RouteKey{}] = &box{fires: make(chan job.Handover)}
		begin := time.Now()
		if err := delivery.FetchAfterResize(t.Context(), s); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != 0 || s.boxes[job.RouteKey{}].fetches != 0 {
			t.Errorf("it made %d fetches and took %v, want none", s.boxes[job.RouteKey{}].fetches, took)
		}
	})
}

func TestRunAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, nil)
		s := newStore(t)
		m := delivery.New(delivery.Config{
			Breakers: s,
			Jobs:     s, Routes: s, Inboxes: s, Concurrency: s.concurrency,
			Escape: func(id string) string { return id }, Log: slog.New(slog.DiscardHandler),
		})
		rec.dial(m)
		for n := range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- m.Run(ctx) }()
			s.fire(s.addRoute("r", "http://h.example/"))
			s.awaitAcks(n + 1)
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run number %d: got %v, want nil", n+1, err)
			}
		}
	})
}

func TestRunCannotFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, nil)
		s := newStore(t)
		stop := s.run(delivery.Config{}, rec.dial)
		s.addRoute("r", "http://h.example/")
		s.followErr <- errBroken
		synctest.Wait()
		if err := stop(); !errors.Is(err, errBroken) {
			t.Errorf("Run: got %v, want an error that is %v", err, errBroken)
		}
	})
}
