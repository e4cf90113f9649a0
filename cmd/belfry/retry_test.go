package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/api/client"
	"belfry/internal/job"
	"belfry/internal/waittest"
)

// A receiver that fails twice gets the job three times, with one webhook-id.
func TestRetryUntilDelivered(t *testing.T) {
	t.Parallel()
	var tries atomic.Int64
	in := newReceiver(t, func(*http.Request, post) int {
		if tries.Add(1) < 3 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	p := startProgram(t, t.TempDir())
	in.route(t, p, "r")
	p.create(t, []plannedJob{{id: "one", due: time.Now(), meta: `{"a":1}`}}, "r")

	retrying := p.becomes(t, "/job/db/coll/one", job.Retrying)
	if retrying.Reason != string(job.ReasonFailed) || retrying.Detail != "status 500" {
		t.Errorf("while it is retrying the job has reason %q, %q, want %q, %q",
			retrying.Reason, retrying.Detail, job.ReasonFailed, "status 500")
	}
	done := p.becomes(t, "/job/db/coll/one", job.Delivered)
	if done.Attempt != 3 || done.Reason != "" {
		t.Errorf("the delivered job has attempt %d and reason %q, want 3 and none", done.Attempt, done.Reason)
	}

	posts := in.jobs()["one"]
	var attempts []string
	for _, got := range posts {
		attempts = append(attempts, got.header.Get(job.HeaderAttempt))
		if got.fire != posts[0].fire || got.meta != `{"a":1}` {
			t.Errorf("attempt %s has webhook-id %s and %s, want %s and the job's meta",
				got.header.Get(job.HeaderAttempt), got.fire, got.meta, posts[0].fire)
		}
	}
	if diff := cmp.Diff([]string{"1", "2", "3"}, attempts); diff != "" {
		t.Errorf("Belfry-Attempt (-want +got):\n%s", diff)
	}
}

// A job that no try delivers ends in DEAD, and its GET says why.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	cfg := freePorts(t)
	cfg.Retry = job.RetryPolicy{MaxAttempts: 3, First: 10 * time.Millisecond, Multiplier: 2, Max: time.Second}
	s := startServer(t, cfg)
	dead := connect(t, s.NATSURL())

	for _, tt := range []struct {
		route   string
		status  int
		tries   int
		reason  job.Reason
		details string
	}{
		{"failing", http.StatusInternalServerError, 3, job.ReasonExhausted, "status 500"},
		{"moved", http.StatusFound, 3, job.ReasonExhausted, "status 302"},
		{"gone", http.StatusGone, 1, job.ReasonGone, "status 410"},
	} {
		in := newReceiver(t, func(*http.Request, post) int { return tt.status })
		route := fmt.Sprintf(`{"id":%q,"type":"REST","webhook_url":%q}`, tt.route, in.url)
		if status, body := call(t, s, http.MethodPost, "/route/db", route); status != http.StatusOK {
			t.Fatalf("POST /route/db %s: %d %s, want 200", route, status, body)
		}
		j := plannedJob{id: "job-" + tt.route, due: time.Now().Truncate(time.Millisecond), meta: `{"a": 1}`}
		if status, body := call(t, s, http.MethodPost, "/job/db/coll", j.body(tt.route)); status != http.StatusOK {
			t.Fatalf("POST /job/db/coll %s: %d %s, want 200", j.body(tt.route), status, body)
		}

		var got client.Job
		waittest.Eventually(t, func() string {
			_, body := call(t, s, http.MethodGet, "/job/db/coll/"+j.id, "")
			if err := json.Unmarshal([]byte(body), &got); err != nil || got.Status != client.StatusDead {
				return fmt.Sprintf("GET of the job to %q: %s, want status dead", tt.route, body)
			}
			return ""
		})
		if got.Reason != string(tt.reason) || got.Detail != tt.details || got.Attempt != tt.tries {
			t.Errorf("the job to %q died of %q, %q on attempt %d; want %q, %q on %d",
				tt.route, got.Reason, got.Detail, got.Attempt, tt.reason, tt.details, tt.tries)
		}
		posts := in.jobs()[j.id]
		if len(posts) != tt.tries {
			t.Fatalf("%q was tried %d times, want %d", tt.route, len(posts), tt.tries)
		}

		var letters []message
		waittest.Eventually(t, func() string { // it is written behind the status
			if letters = messages(t, dead, "DEAD", "dead.db."+tt.route); len(letters) == 0 {
				return "no letter in DEAD for " + tt.route
			}
			return ""
		})
		want := map[string]string{
			"Belfry-Reason":       string(tt.reason),
			"Belfry-Detail":       tt.details,
			job.HeaderID:          posts[0].fire,
			job.HeaderDB:          "db",
			job.HeaderCollection:  "coll",
			job.HeaderJobID:       j.id,
			job.HeaderRoute:       tt.route,
			job.HeaderAttempt:     strconv.Itoa(tt.tries),
			job.HeaderTriggerTime: strconv.FormatInt(j.due.UnixMilli(), 10),
		}
		found := map[string]string{}
		for name := range want {
			found[name] = letters[0].header.Get(name)
		}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("headers in DEAD for %q (-want +got):\n%s", tt.route, diff)
		}
		if letters[0].data != j.meta || len(letters) != 1 {
			t.Errorf("DEAD has %d letters for %q, the first with %s; want one with %s", len(letters), tt.route, letters[0].data, j.meta)
		}
	}
}
