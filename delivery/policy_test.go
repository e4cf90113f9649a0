package delivery_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/delivery"
	"belfry/internal/job"
)

// A 429 with Retry-After 120 puts the next try off by as much, also as a date,
// and an absurd one by a day (svix#2199). It may be a little later, never earlier.
func TestRetryAfter120(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		header func(now time.Time) string
		want   time.Duration
	}{
		{"seconds", func(time.Time) string { return "120" }, 2 * time.Minute},
		{"date", func(now time.Time) string { return now.UTC().Add(2 * time.Minute).Format(http.TimeFormat) }, 2 * time.Minute},
		{"absurd seconds", func(time.Time) string { return "31536000000" }, 24 * time.Hour},
		{"absurd date", func(time.Time) string { return "Fri, 31 Dec 9999 23:59:59 GMT" }, 24 * time.Hour},
		{"shorter than the backoff", func(time.Time) string { return "0" }, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Retry-After", tt.header(time.Now()))
					w.WriteHeader(http.StatusTooManyRequests)
				})
				s := newStore(t)
				s.run(delivery.Config{Retry: job.RetryPolicy{MaxAttempts: 3, First: time.Second, Multiplier: 3, Max: time.Hour}}, rec.dial)
				s.fire(s.addRoute("r", "http://h.example/"))
				synctest.Wait()
				want := job.Result{Status: job.Retrying, RetryAt: time.Now().Add(tt.want).UnixMilli(), Reason: job.ReasonFailed, Detail: "status 429"}
				got := s.awaitResult(1)
				late := got.RetryAt - want.RetryAt
				if got.RetryAt = want.RetryAt; got != want || late < 0 || late > min(tt.want/10, time.Minute).Milliseconds() {
					t.Errorf("got %+v, %d ms late, want %+v", got, late, want)
				}
			})
		})
	}
}

// Each try follows the route as it is at that time.
func TestPolicyOfEachTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		requests := make(chan string, 10)
		rec := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
			requests <- fmt.Sprint(r.Method, " ", r.Header.Get("Content-Type"), " ", r.Header.Get("Authorization"), " ", r.Header.Get("X-A"))
			if r.URL.Path == "/hang" {
				hang(w, r)
			}
			w.WriteHeader(http.StatusNotFound)
		})
		s := newStore(t)
		s.run(delivery.Config{}, rec.dial)
		begin := time.Now()
		var got []string
		retry := func(first time.Duration) job.RetryPolicy {
			return job.RetryPolicy{MaxAttempts: 5, First: first, Multiplier: 1, Max: time.Hour}
		}
		for i, step := range []struct {
			path   string
			policy job.Policy
			want   job.Result
		}{
			{"/", job.Policy{Retry: retry(time.Minute)},
				job.Result{Status: job.Retrying, RetryAt: begin.Add(time.Minute).UnixMilli(), Reason: job.ReasonFailed, Detail: "status 404"}},
			{"/", job.Policy{Retry: retry(time.Hour), Method: "PUT", ContentType: "text/plain",
				Headers: map[string]string{"Authorization": "Bearer hunter2", "X-A": "a"}},
				job.Result{Status: job.Retrying, RetryAt: begin.Add(time.Hour).UnixMilli(), Reason: job.ReasonFailed, Detail: "status 404"}},
			{"/", job.Policy{Method: "PATCH", FinalStatuses: []job.StatusRange{{First: 404, Last: 404}}},
				job.Result{Status: job.Dead, Reason: job.ReasonFinal, Detail: "status 404"}},
			{"/hang", job.Policy{Timeout: 250 * time.Millisecond, Retry: job.RetryPolicy{MaxAttempts: 1}},
				job.Result{Status: job.Dead, Reason: job.ReasonExhausted, Detail: "timeout after 250ms"}},
			{"/hang", job.Policy{Timeout: 20 * time.Second, Retry: job.RetryPolicy{MaxAttempts: 1}},
				job.Result{Status: job.Dead, Reason: job.ReasonExhausted, Detail: "timeout after 20s"}},
		} {
			s.fire(s.addPolicy("r", "http://user:pass@h.example"+step.path, step.policy))
			if res := s.awaitResult(i + 1); res != step.want {
				t.Errorf("step %d: got %+v, want %+v", i, res, step.want)
			}
			got = append(got, <-requests)
		}
		want := []string{
			"POST application/json Basic dXNlcjpwYXNz ", "PUT text/plain Bearer hunter2 a", "PATCH application/json Basic dXNlcjpwYXNz ",
			"POST application/json Basic dXNlcjpwYXNz ", "POST application/json Basic dXNlcjpwYXNz ",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

// A first try that would begin too late is not made; a retry is.
func TestExpired(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		late    time.Duration // behind the trigger time
		due     time.Duration // how much of it the record was due later; 0 is no record
		attempt int
		posts   int
	}{
		{"in time", time.Second, 0, 1, 1},
		{"too late", time.Second + time.Millisecond, 0, 1, 0},
		{"a retry", time.Hour, 0, 2, 1},
		{"armed again late", time.Hour, time.Hour, 1, 1},
		{"armed again late and too late", time.Hour, time.Hour - 2*time.Second, 1, 0},
		{"early clock", -time.Minute, 0, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := newReceiver(t, nil)
				s := newStore(t)
				trigger := time.Now().Add(-tt.late)
				s.standing = func(f job.Fire) (job.Standing, job.Record, error) {
					r := job.Record{}
					if tt.due != 0 {
						r.Replaces.Due = trigger.Add(tt.due).UnixMilli()
					}
					return job.Valid, r, nil
				}
				s.run(delivery.Config{}, rec.dial)
				s.fire(s.addPolicy("r", "http://h.example/", job.Policy{MaxLateness: time.Second}), func(h *job.Handover) {
					h.Trigger, h.Attempt = trigger.UnixMilli(), tt.attempt
				})
				got := s.awaitResult(1)
				s.awaitAcks(1)
				if n := len(rec.requests()); n != tt.posts {
					t.Errorf("got %d POSTs, want %d", n, tt.posts)
				}
				expired := got.Status == job.Expired && got.Reason == job.ReasonTooLate && strings.Contains(got.Detail, "ms late, of 1000 at most")
				if expired == (tt.posts == 1) || len(s.attempts) != tt.posts {
					t.Errorf("got %+v and %d attempts, want %d tries", got, len(s.attempts), tt.posts)
				}
			})
		})
	}
}

// A changed concurrency applies to a pool that is at work, and to one that waits with
// fetches under way.
func TestConcurrencyChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		rec := newReceiver(t, func(http.ResponseWriter, *http.Request) { <-release })
		s := newStore(t)
		s.run(delivery.Config{}, rec.dial)
		s.concurrency = 50 // the most that may be asked for
		key := s.addPolicy("r", "http://h.example/", job.Policy{Concurrency: 2})
		under := func(when string, want int) {
			t.Helper()
			synctest.Wait()
			if got := len(rec.requests()) - s.acks(); got != want {
				t.Errorf("%s: %d tries are under way, want %d", when, got, want)
			}
		}
		for range 100 {
			s.fire(key)
		}
		under("of 2", 2)
		s.addPolicy("r", "http://h.example/", job.Policy{Concurrency: 50})
		under("raised to 50", 50)
		s.addPolicy("r", "http://h.example/", job.Policy{Concurrency: 3})
		synctest.Wait()
		for range 47 {
			release <- struct{}{}
		}
		under("lowered to 3, with 3 left", 3)
		release <- struct{}{}
		under("with one more done", 3)
		close(release)
		s.awaitAcks(100)

		// Nothing is due, and fetches for 50 are under way.
		release = make(chan struct{})
		s.addPolicy("r", "http://h.example/", job.Policy{Concurrency: 50})
		synctest.Wait()
		s.addPolicy("r", "http://h.example/", job.Policy{Concurrency: 1})
		synctest.Wait()
		for range 10 {
			s.fire(key)
		}
		under("lowered to 1 while it waited", 1)
		close(release)
		s.awaitAcks(110)
	})
}
