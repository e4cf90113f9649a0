package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"belfry/api/client"
	"belfry/internal/job"
)

// A receiver with the official library accepts every delivery while the secret
// is rotated and it changes over to the new one later, and refuses a tampered
// one.
func TestSecretRotation(t *testing.T) {
	t.Parallel()
	verifier := func(secret string) *standardwebhooks.Webhook {
		wh, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		return wh
	}
	var current atomic.Pointer[standardwebhooks.Webhook]
	var seen, refused, tampered atomic.Int64
	in := newReceiver(t, func(r *http.Request, p post) int {
		seen.Add(1)
		wh := current.Load()
		if wh.Verify([]byte(p.meta+" "), r.Header) == nil {
			tampered.Add(1)
		}
		if err := wh.Verify([]byte(p.meta), r.Header); err != nil {
			refused.Add(1)
			return http.StatusUnauthorized
		}
		return http.StatusOK
	})
	p := startProgram(t, t.TempDir())
	in.route(t, p, "r")
	rotate := func() string {
		var made client.Rotated
		body := p.must(t, http.MethodPost, "/route/db/r/rotate", "")
		if err := json.Unmarshal([]byte(body), &made); err != nil || made.Secret == "" {
			t.Fatalf("POST /route/db/r/rotate: %s has no secret (%v)", body, err)
		}
		return made.Secret
	}
	first := rotate()
	current.Store(verifier(first))

	const jobs = 150
	var all []plannedJob
	begin := time.Now().Add(time.Second)
	for i := range jobs {
		all = append(all, plannedJob{id: fmt.Sprint("job-", i), due: begin.Add(time.Duration(i) * 20 * time.Millisecond), meta: fmt.Sprintf(`{"n": %d}`, i)})
	}
	p.create(t, all, "r")
	in.waitFor(t, jobs/3)
	second := rotate()
	in.waitFor(t, 2*jobs/3)
	current.Store(verifier(second))
	in.wait(t, func() string {
		for _, p := range in.posts {
			if p.answered.IsZero() {
				return "job " + p.job + " is not answered yet"
			}
		}
		if len(in.byJob) < jobs {
			return fmt.Sprintf("%d of %d jobs have arrived", len(in.byJob), jobs)
		}
		return ""
	})
	if first == second {
		t.Errorf("both secrets are %q", first)
	}
	if refused.Load() != 0 || tampered.Load() != 0 || seen.Load() != jobs {
		t.Errorf("of %d deliveries %d were refused, and %d accepted when they were tampered with; want %d, none and none",
			seen.Load(), refused.Load(), tampered.Load(), jobs)
	}
	route := p.must(t, http.MethodGet, "/route/db/r", "")
	for _, secret := range []string{first, second} {
		if strings.Contains(route, secret) || !strings.Contains(route, `"secret":"********"`) {
			t.Errorf("GET of the route: %s, want the secret hidden", route)
		}
	}
}

// A job that comes too late for its route is not delivered.
func TestExpiredJob(t *testing.T) {
	t.Parallel()
	in := newReceiver(t, nil)
	p := startProgram(t, t.TempDir())
	p.must(t, http.MethodPost, "/route/db", fmt.Sprintf(`{"id":"r","type":"REST","webhook_url":%q,"max_lateness_ms":60000}`, in.url))
	p.create(t, []plannedJob{{id: "late", due: time.Now().Add(-2 * time.Minute), meta: `1`}, {id: "fine", due: time.Now(), meta: `2`}}, "r")
	p.becomes(t, "/job/db/coll/fine", job.Delivered)
	if got := p.becomes(t, "/job/db/coll/late", job.Expired); got.Reason != string(job.ReasonTooLate) || !strings.Contains(got.Detail, "60000") {
		t.Errorf("the late job has reason %q, %q; want %q and the limit", got.Reason, got.Detail, job.ReasonTooLate)
	}
	if posts := in.jobs()["late"]; len(posts) != 0 {
		t.Errorf("the late job was posted %d times", len(posts))
	}
	// The policy can change, for what comes from then on.
	p.must(t, http.MethodPut, "/route/db/r", fmt.Sprintf(`{"type":"REST","webhook_url":%q}`, in.url))
	p.create(t, []plannedJob{{id: "later", due: time.Now().Add(-2 * time.Minute), meta: `3`}}, "r")
	p.becomes(t, "/job/db/coll/later", job.Delivered)
}

// --webhook-deny-private keeps webhooks out of the private network, and says how
// to allow one.
func TestDenyPrivate(t *testing.T) {
	t.Parallel()
	in := newReceiver(t, nil)
	for _, tt := range []struct {
		args   []string
		status job.Status
		detail string
	}{
		{[]string{"--webhook-deny-private"}, job.Retrying,
			"refused by policy: 127.0.0.1 is not a public address; --webhook-allow 127.0.0.1/32 allows it"},
		{[]string{"--webhook-deny-private", "--webhook-allow", "10.0.0.0/8", "--webhook-allow", "127.0.0.1/32"}, job.Delivered, ""},
	} {
		p := startProgram(t, t.TempDir(), tt.args...)
		in.route(t, p, "r")
		p.create(t, []plannedJob{{id: "one", due: time.Now(), meta: `1`}}, "r")
		if got := p.becomes(t, "/job/db/coll/one", tt.status); got.Detail != tt.detail {
			t.Errorf("%v: the job is %s with the detail %q, want %q", tt.args, got.Status, got.Detail, tt.detail)
		}
	}
}

func TestReceiveVerifies(t *testing.T) {
	t.Parallel()
	secret := job.EncodeSecret([]byte(strings.Repeat("a", 32)))
	verify, err := verifier(secret)
	if err != nil {
		t.Fatal(err)
	}
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	signature, err := wh.Sign("an-id", now, []byte("body"))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set(job.HeaderID, "an-id")
	r.Header.Set(job.HeaderTimestamp, fmt.Sprint(now.Unix()))
	r.Header.Set(job.HeaderSignature, signature)
	if err := verify([]byte("body"), r.Header); err != nil {
		t.Errorf("what the secret has signed is refused: %v", err)
	}
	if err := verify([]byte("Body"), r.Header); err == nil {
		t.Error("a changed body is accepted")
	}
	for _, bad := range []string{"hunter2", "whsec_hunter2", "whsk_hunter2"} {
		if _, err := verifier(bad); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "whsec_") {
			t.Errorf("--secret %q: %v, want an error that says what is accepted, and not the value", bad, err)
		}
	}
}
