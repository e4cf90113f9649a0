package job_test

import (
	"errors"
	"strings"
	"testing"
	"time"

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
		{"header of traces", restRoute(header("traceparent", "hunter2")), "traceparent is one that"},
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

func TestCanonicalHeader(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"x-api-KEY": "X-Api-Key", "": "", "-a": "-A", "é": "é"} {
		if got := job.CanonicalHeader(in); got != want {
			t.Errorf("CanonicalHeader(%q) = %q, want %q", in, got, want)
		}
	}
}
