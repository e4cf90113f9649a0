package job_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/job"
)

var (
	secretA = job.EncodeSecret([]byte("aaaaaaaaaaaaaaaaaaaaaaaa"))
	secretB = job.EncodeSecret([]byte("bbbbbbbbbbbbbbbbbbbbbbbb"))
)

func restRoute(p job.Policy) job.Route {
	return job.Route{RouteKey: job.RouteKey{DB: "d", ID: "r"}, Type: job.REST, WebhookURL: "h", Policy: p}
}

func natsRoute(p job.Policy) job.Route {
	return job.Route{RouteKey: job.RouteKey{DB: "d", ID: "r"}, Type: job.NATS, Policy: p}
}

func TestCheckPolicy(t *testing.T) {
	t.Parallel()
	retry := func(change func(*job.RetryPolicy)) job.Policy {
		r := job.DefaultRetry()
		change(&r)
		return job.Policy{Retry: r}
	}
	header := func(name, value string) job.Policy { return job.Policy{Headers: map[string]string{name: value}} }
	many := map[string]string{}
	for c := range 33 {
		many["X-"+strings.Repeat("a", c+1)] = "v"
	}
	for _, tt := range []struct {
		name  string
		route job.Route
		says  string // empty: accepted
	}{
		{"nothing", restRoute(job.Policy{}), ""},
		{"default retry", restRoute(job.Policy{Retry: job.DefaultRetry()}), ""},
		{"no jitter", restRoute(retry(func(r *job.RetryPolicy) { r.Jitter = 0 })), ""},
		{"too many tries", restRoute(retry(func(r *job.RetryPolicy) { r.MaxAttempts = 1001 })), "retry.max_attempts: 1001; accepted: 1 to 1000"},
		{"no tries", restRoute(retry(func(r *job.RetryPolicy) { r.MaxAttempts = 0 })), "retry: one of its fields is 0"},
		{"long wait", restRoute(retry(func(r *job.RetryPolicy) { r.First = 25 * time.Hour })), "retry.min_backoff_ms: 90000000;"},
		{"max under min", restRoute(retry(func(r *job.RetryPolicy) { r.Max = time.Millisecond })), "retry.max_backoff_ms: 1; accepted: min_backoff_ms to"},
		{"shrinking", restRoute(retry(func(r *job.RetryPolicy) { r.Multiplier = 0.5 })), "retry.multiplier: 0.5;"},
		{"jitter", restRoute(retry(func(r *job.RetryPolicy) { r.Jitter = 1.5 })), "retry.jitter: 1.5; accepted: 0 to 1"},
		{"schedule", restRoute(job.Policy{Retry: job.RetryPolicy{Schedule: []time.Duration{time.Second, time.Hour}, MaxAge: time.Hour}}), ""},
		{"schedule and backoff", restRoute(retry(func(r *job.RetryPolicy) { r.Schedule = []time.Duration{time.Second} })), "retry.schedule_ms: it is given beside"},
		{"no schedule", restRoute(job.Policy{Retry: job.RetryPolicy{Schedule: []time.Duration{}}}), "retry.schedule_ms: it has 0 waits"},
		{"negative wait", restRoute(job.Policy{Retry: job.RetryPolicy{Schedule: []time.Duration{-time.Second}}}), "retry.schedule_ms: -1000 is in it"},
		{"old", restRoute(retry(func(r *job.RetryPolicy) { r.MaxAge = 367 * 24 * time.Hour })), "retry.max_age_ms: 31708800000;"},
		{"timeout", restRoute(job.Policy{Timeout: 301 * time.Second}), "timeout_ms: 301000; accepted: 100 to 300000"},
		{"method", restRoute(job.Policy{Method: "GET"}), `method: "GET"; accepted: POST, PUT and PATCH`},
		{"content type", restRoute(job.Policy{ContentType: "application/vnd.x+json; charset=utf-8"}), ""},
		{"bad content type", restRoute(job.Policy{ContentType: "json\r\nX: y"}), "content_type:"},
		{"header", restRoute(header("Authorization", "Bearer hunter2")), ""},
		{"header of Belfry", restRoute(header("Belfry-Attempt", "hunter2")), "headers: Belfry-Attempt is one that"},
		{"header of webhooks", restRoute(header("webhook-ID", "hunter2")), "webhook-ID is one that"},
		{"header of HTTP", restRoute(header("Host", "hunter2")), "Host is one that"},
		{"header of clients", restRoute(header("Idempotency-Key", "hunter2")), "Idempotency-Key is one that"},
		{"no header", restRoute(header("a b", "hunter2")), `"a b" is no name`},
		{"header with a line", restRoute(header("X-A", "hunter2\r\nX-B: c")), "the value of X-A"},
		{"header with spaces", restRoute(header("X-A", " hunter2")), "the value of X-A"},
		{"headers", restRoute(job.Policy{Headers: many}), "headers: it has 33 names"},
		{"no final status", restRoute(job.Policy{FinalStatuses: []job.StatusRange{}}), ""},
		{"final statuses", restRoute(job.Policy{FinalStatuses: []job.StatusRange{{First: 400, Last: 499}, {First: 503, Last: 503}}}), ""},
		{"final success", restRoute(job.Policy{FinalStatuses: []job.StatusRange{{First: 200, Last: 200}}}), "final_statuses: 200 is in it"},
		{"secret", restRoute(job.Policy{Secret: secretA}), ""},
		{"bad secret", restRoute(job.Policy{Secret: "whsec_hunter2"}), "secret: what follows its prefix is not base64"},
		{"concurrency", restRoute(job.Policy{Concurrency: 1001}), "concurrency: 1001; accepted: 1 to 1000"},
		{"rate", restRoute(job.Policy{RateLimit: job.RateLimit{PerSecond: 0.5, Burst: 1}}), ""},
		{"rate without burst", restRoute(job.Policy{RateLimit: job.RateLimit{PerSecond: 0.5}}), "rate_limit: one of its fields is 0"},
		{"high rate", restRoute(job.Policy{RateLimit: job.RateLimit{PerSecond: 1e6, Burst: 1}}), "rate_limit.per_second: 1e+06;"},
		{"lateness", restRoute(job.Policy{MaxLateness: -1}), "max_lateness_ms: 0;"},
		{"paused", restRoute(job.Policy{Paused: true, PausedUntil: job.MaxTrigger}), ""},
		{"paused until seconds", natsRoute(job.Policy{PausedUntil: 1667659342}), "paused_until: 1667659342; accepted: a unix time in milliseconds"},

		{"NATS", natsRoute(job.Policy{AckWait: time.Minute, MaxDeliver: 3, Paused: true}), ""},
		{"NATS backoff", natsRoute(job.Policy{BackOff: []time.Duration{time.Second, time.Minute}, MaxDeliver: 2}), ""},
		{"longer than deliveries", natsRoute(job.Policy{BackOff: []time.Duration{1e9, 1e9, 1e9}, MaxDeliver: 2}), "backoff_ms: 3 waits with a max_deliver of 2"},
		{"backoff and ack wait", natsRoute(job.Policy{BackOff: []time.Duration{1e9}, AckWait: time.Second}), "backoff_ms: it is given beside ack_wait_ms"},
		{"NATS timeout", natsRoute(job.Policy{Timeout: time.Second}), "timeout_ms: the route is of type NATS; accepted: the field for routes of type REST"},
		{"NATS secret", natsRoute(job.Policy{Secret: secretA}), "secret: the route is of type NATS"},
		{"REST ack wait", restRoute(job.Policy{AckWait: time.Second}), "ack_wait_ms: the route is of type REST"},
		{"REST deliveries", restRoute(job.Policy{MaxDeliver: 1}), "max_deliver: the route is of type REST"},
		{"REST backoff", restRoute(job.Policy{BackOff: []time.Duration{1e9}}), "backoff_ms: the route is of type REST"},
	} {
		err := tt.route.Check()
		switch {
		case tt.says == "" && err != nil:
			t.Errorf("%s is refused: %v", tt.name, err)
		case tt.says != "" && (!errors.Is(err, job.ErrPolicy) || !strings.Contains(err.Error(), tt.says)):
			t.Errorf("%s: got %v, want ErrPolicy with %q", tt.name, err, tt.says)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error quotes a secret: %v", tt.name, err)
		}
	}
}

func TestCheckSecret(t *testing.T) {
	t.Parallel()
	random := func(n int) string { return job.EncodeSecret(make([]byte, n)) }
	private := func(n int) string { return strings.Replace(random(n), job.SymmetricPrefix, job.PrivatePrefix, 1) }
	for _, tt := range []struct {
		secret, says string
	}{
		{random(24), ""}, {random(64), ""}, {private(32), ""},
		{random(23), "23 bytes"}, {random(65), "65 bytes"}, {private(31), "31 bytes"},
		{private(64), "do not belong together"},
		{"whsec_", "0 bytes"}, {"whsk_", "0 bytes"}, {"", "neither prefix"}, {"WHSEC_" + random(24)[6:], "neither prefix"},
		{random(24) + "\n", "not base64"}, {strings.TrimRight(random(25), "="), "not base64"}, {"whpk_" + random(32)[6:], "neither prefix"},
	} {
		err := job.CheckSecret(tt.secret)
		if tt.says == "" && err != nil || tt.says != "" && (!errors.Is(err, job.ErrPolicy) || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("CheckSecret(%q) = %v, want %q", tt.secret, err, tt.says)
		}
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1667659342626)
	later := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
	secret := func(c byte) string { return job.EncodeSecret([]byte(strings.Repeat(string(c), 24))) }

	first, err := restRoute(job.Policy{}).Rotate(secretA, time.Hour, now)
	if err != nil || first.Secret != secretA || len(first.OldSecrets) != 0 {
		t.Fatalf("the first secret: %+v, %v; want it, and no old one", first.Policy, err)
	}
	second, err := first.Rotate(secretB, time.Hour, now)
	want := []job.OldSecret{{Secret: secretA, Until: later(time.Hour)}}
	if diff := cmp.Diff(want, second.OldSecrets); err != nil || diff != "" {
		t.Fatalf("the second secret (-want +got): %v\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{secretB, secretA}, second.Secrets(now.Add(time.Hour-time.Millisecond))); diff != "" {
		t.Errorf("secrets within the grace (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{secretB}, second.Secrets(now.Add(time.Hour))); diff != "" {
		t.Errorf("secrets after the grace (-want +got):\n%s", diff)
	}
	if again, err := second.Rotate(secretB, time.Hour, now.Add(time.Minute)); err != nil || !again.SameContent(second) {
		t.Errorf("the same rotation again: %+v, %v; want no change", again.Policy, err)
	}
	if back, err := second.Rotate(secretA, time.Hour, now); err != nil || len(back.OldSecrets) != 1 || back.OldSecrets[0].Secret != secretB {
		t.Errorf("back to the first: %+v, %v; want only the second as an old one", back.Policy, err)
	}
	if leaked, err := second.Rotate(secret('c'), 0, now); err != nil || len(leaked.OldSecrets) != 0 {
		t.Errorf("without a grace: %+v, %v; want no old one", leaked.Policy, err)
	}
	r := second
	for c := byte('c'); err == nil && c < 'z'; c++ {
		var next job.Route
		if next, err = r.Rotate(secret(c), time.Hour, now); err == nil {
			r = next
		}
	}
	if !errors.Is(err, job.ErrPolicy) || !strings.Contains(err.Error(), "4 earlier ones still sign") || len(r.OldSecrets) != 4 {
		t.Errorf("rotated without end: %v with %d old ones, want ErrPolicy and 4", err, len(r.OldSecrets))
	}
	if r, err = r.Rotate(secret('z'), time.Hour, now.Add(time.Hour)); err != nil || len(r.OldSecrets) != 1 {
		t.Errorf("once their time is over: %v with %d old ones, want 1", err, len(r.OldSecrets))
	}
	if _, err := natsRoute(job.Policy{}).Rotate(secretA, time.Hour, now); !errors.Is(err, job.ErrPolicy) {
		t.Errorf("of a NATS route: %v, want ErrPolicy", err)
	}
}

// A change leaves what it hides as it is stored.
func TestOver(t *testing.T) {
	t.Parallel()
	old := []job.OldSecret{{Secret: secretA, Until: 1}}
	stored := restRoute(job.Policy{Secret: secretB, OldSecrets: old, Headers: map[string]string{"X-A": "a", "X-B": "b"}})
	keep := restRoute(job.Policy{Headers: map[string]string{"X-A": job.Hidden, "X-C": "c"}})
	keep.KeepSecret = true
	sent := maps.Clone(keep.Headers)
	for _, tt := range []struct {
		name   string
		change job.Route
		want   job.Policy
		says   string
	}{
		{"unmentioned", keep, job.Policy{Secret: secretB, OldSecrets: old, Headers: map[string]string{"X-A": "a", "X-C": "c"}}, ""},
		{"placeholder", restRoute(job.Policy{Secret: job.Hidden}), job.Policy{Secret: secretB, OldSecrets: old}, ""},
		{"the same", restRoute(job.Policy{Secret: secretB}), job.Policy{Secret: secretB, OldSecrets: old}, ""},
		{"another", restRoute(job.Policy{Secret: secretA}), job.Policy{Secret: secretA}, ""},
		{"none", restRoute(job.Policy{}), job.Policy{}, ""},
		{"unknown header", restRoute(job.Policy{Headers: map[string]string{"X-C": job.Hidden}}), job.Policy{}, "headers: X-C is the placeholder"},
	} {
		got, err := tt.change.Over(stored)
		if tt.says != "" {
			if !errors.Is(err, job.ErrPolicy) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: got %v, want ErrPolicy with %q", tt.name, err, tt.says)
			}
			continue
		}
		if err != nil || !got.SameContent(restRoute(tt.want)) || got.KeepSecret {
			t.Errorf("%s: got %+v, %v; want %+v", tt.name, got.Policy, err, tt.want)
		}
	}
	if !maps.Equal(keep.Headers, sent) {
		t.Errorf("the change itself was changed: %v, want %v", keep.Headers, sent)
	}
	if _, err := restRoute(job.Policy{Secret: job.Hidden}).Over(restRoute(job.Policy{})); !errors.Is(err, job.ErrPolicy) {
		t.Errorf("the placeholder for no secret: %v, want ErrPolicy", err)
	}
}

func TestCanonicalHeader(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"x-api-KEY": "X-Api-Key", "": "", "-a": "-A", "é": "é"} {
		if got := job.CanonicalHeader(in); got != want {
			t.Errorf("CanonicalHeader(%q) = %q, want %q", in, got, want)
		}
	}
}

// What is accepted as a private key has a public one.
func FuzzCheckSecret(f *testing.F) {
	f.Add(job.EncodeSecret(make([]byte, 24)))
	f.Add(job.PrivatePrefix + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	f.Add("whpk_")
	f.Fuzz(func(t *testing.T, secret string) {
		private := strings.HasPrefix(secret, job.PrivatePrefix)
		if err := job.CheckSecret(secret); (err == nil && private) != (job.PublicKey(secret) != "") {
			t.Errorf("CheckSecret(%q) = %v, and its public key is %q", secret, err, job.PublicKey(secret))
		}
	})
}
