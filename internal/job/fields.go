package job

import (
	"slices"
	"time"
)

// PolicyField is one field of a route's policy, as clients see it.
type PolicyField struct {
	Name    string // in the route's JSON; "retry.jitter" is in an object
	For     []RouteType
	Default string
	Accepts string
	Meaning string

	// given reports whether the route has the field. wrong says what is wrong with
	// its value; it returns "" if nothing is.
	given func(Policy) bool
	wrong func(Policy) string
}

// These are the widest accepted values.
const (
	// MaxTimeout is the longest that one try may take.
	MaxTimeout = 5 * time.Minute
	// MaxConcurrency is the most tries of one route that may be under way at once.
	MaxConcurrency = 1000

	minTimeout     = 100 * time.Millisecond
	maxAttempts    = 1000
	maxFirstWait   = 24 * time.Hour
	maxWait        = 30 * 24 * time.Hour
	maxWaits       = 100
	maxAge         = 366 * 24 * time.Hour
	maxHeaders     = 32
	maxHeaderBytes = 4096
	maxPerSecond   = 100_000
	minPerSecond   = 0.001
	minAckWait     = 100 * time.Millisecond
	maxAckWait     = 24 * time.Hour
)

// methods are the accepted HTTP methods: those with a body, which is the job's meta.
var methods = []string{"POST", "PUT", "PATCH"}

// reservedHeaders are set by Belfry, or by HTTP itself. They include the idempotency
// keys: a fixed key would be the same for every job, and it makes HTTP clients repeat
// requests on their own.
var reservedHeaders = []string{
	"Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "Idempotency-Key", "Keep-Alive",
	"Proxy-Connection", "Te", "Traceparent", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent", "X-Idempotency-Key",
}

var reservedHeaderPrefixes = []string{"Belfry-", "Webhook-", "Proxy-"}

const headersAccepts = "up to 32 names with values of up to 4096 printable ASCII characters, but none that Belfry or HTTP itself sets, as Host, Content-Type, User-Agent, Webhook-* and Belfry-*"

var (
	restOnly = []RouteType{REST}
	natsOnly = []RouteType{NATS}
	both     = []RouteType{REST, NATS}
)

// policyFields is the single list of a route's delivery fields.
var policyFields = []PolicyField{
	{"retry.max_attempts", restOnly, "12", "1 to 1000", "Tries in all, the first included.",
		given(func(p Policy) int { return p.Retry.MaxAttempts }),
		func(p Policy) string { return inRange(p.Retry.MaxAttempts, 1, maxAttempts) }},
	{"retry.min_backoff_ms", restOnly, "1000", "1 to 86400000", "Wait before the second try.",
		given(func(p Policy) time.Duration { return p.Retry.First }),
		func(p Policy) string { return millisInRange(p.Retry.First, time.Millisecond, maxFirstWait) }},
	{"retry.max_backoff_ms", restOnly, "3600000", "`min_backoff_ms` to 2592000000", "Longest wait between two tries.",
		given(func(p Policy) time.Duration { return p.Retry.Max }),
		func(p Policy) string { return millisInRange(p.Retry.Max, p.Retry.First, maxWait) }},
	{"retry.multiplier", restOnly, "3", "1 to 100", "Each wait is this much longer than the last.",
		given(func(p Policy) float64 { return p.Retry.Multiplier }),
		func(p Policy) string { return inRange(p.Retry.Multiplier, 1, 100) }},
	{"retry.jitter", restOnly, "0.2", "0 to 1", "Each wait varies by this share, up and down.",
		given(func(p Policy) float64 { return p.Retry.Jitter }),
		func(p Policy) string { return inRange(p.Retry.Jitter, 0, 1) }},
	{"retry.schedule_ms", restOnly, "", "1 to 100 waits of 1 to 2592000000", "The waits themselves, in place of all the above: one more try than waits, without jitter.",
		func(p Policy) bool { return p.Retry.Schedule != nil },
		func(p Policy) string { return waitsInRange(p.Retry.Schedule) }},
	{"retry.max_age_ms", restOnly, "", "1 to 31622400000", "No retry later than this after `trigger_time`, or after the job was redriven: the job dies with the reason `max_age_reached`.",
		given(func(p Policy) time.Duration { return p.Retry.MaxAge }),
		func(p Policy) string { return millisInRange(p.Retry.MaxAge, time.Millisecond, maxAge) }},
	{"timeout_ms", restOnly, "15000", "100 to 300000", "How long one try may take, to the end of the answer.",
		given(func(p Policy) time.Duration { return p.Timeout }),
		func(p Policy) string { return millisInRange(p.Timeout, minTimeout, MaxTimeout) }},
	{"method", restOnly, "POST", "POST, PUT and PATCH", "The HTTP method.",
		given(func(p Policy) string { return p.Method }),
		func(p Policy) string { return unless(slices.Contains(methods, p.Method), Quote(p.Method)) }},
	{"content_type", restOnly, "application/json", "a media type of up to 200 printable ASCII characters", "What `meta` is sent as; its bytes stay the same.",
		given(func(p Policy) string { return p.ContentType }),
		func(p Policy) string { return unless(isMediaType(p.ContentType), Quote(p.ContentType)) }},
	{"headers", restOnly, "", headersAccepts, "Sent with each try. GET shows `\"" + Hidden + "\"` for each value; a PUT with that keeps the stored one.",
		func(p Policy) bool { return p.Headers != nil },
		func(p Policy) string { return wrongHeaders(p.Headers) }},
	{"final_statuses", restOnly, "[410]", "up to 100 of the numbers 300 to 599 and of \"3xx\", \"4xx\" and \"5xx\"", "Statuses that end the retries at once. They beat `Retry-After`.",
		func(p Policy) bool { return p.FinalStatuses != nil },
		func(p Policy) string { return wrongStatuses(p.FinalStatuses) }},
	{"secret", restOnly, "", secretAccepts, "Signs each try, see below. GET shows `\"" + Hidden + "\"`; a PUT without it keeps the stored one, `null` removes it.",
		given(func(p Policy) string { return p.Secret }),
		nil}, // CheckSecret checks it
	{"concurrency", restOnly, "64", "1 to 1000", "Tries under way at once, over all nodes. Without it, 64 on each.",
		given(func(p Policy) int { return p.Concurrency }),
		func(p Policy) string { return inRange(p.Concurrency, 1, MaxConcurrency) }},
	{"rate_limit.per_second", both, "", "0.001 to 100000", "Fires a second in the long run, over all nodes; what subscribers get again is not counted.",
		given(func(p Policy) float64 { return p.RateLimit.PerSecond }),
		func(p Policy) string { return inRange(p.RateLimit.PerSecond, minPerSecond, maxPerSecond) }},
	{"rate_limit.burst", both, "`per_second`, rounded up", "1 to 100000", "Fires at once.",
		given(func(p Policy) int { return p.RateLimit.Burst }),
		func(p Policy) string { return inRange(p.RateLimit.Burst, 1, maxPerSecond) }},
	{"max_lateness_ms", both, "", "1 to 31622400000", "A job whose first try would begin, or whose fire would be published, later than this after it was due becomes `expired` instead.",
		given(func(p Policy) time.Duration { return p.MaxLateness }),
		func(p Policy) string { return millisInRange(p.MaxLateness, time.Millisecond, maxAge) }},
	{"ack_wait_ms", natsOnly, "30000", "100 to 86400000", "How long a subscriber may take before it gets a fire again.",
		given(func(p Policy) time.Duration { return p.AckWait }),
		func(p Policy) string { return millisInRange(p.AckWait, minAckWait, maxAckWait) }},
	{"max_deliver", natsOnly, "12", "1 to 1000", "How often subscribers get a fire before it goes to DEAD.",
		given(func(p Policy) int { return p.MaxDeliver }),
		func(p Policy) string { return inRange(p.MaxDeliver, 1, maxAttempts) }},
	{"backoff_ms", natsOnly, "", "1 to 100 waits of 1 to 2592000000, no more than `max_deliver`", "In place of `ack_wait_ms`: the waits after the first delivery, the second …; the last one repeats.",
		func(p Policy) bool { return p.BackOff != nil },
		func(p Policy) string { return waitsInRange(p.BackOff) }},
	{"paused", both, "false", "true and false", "Jobs stay `scheduled`, also beyond their time.",
		func(p Policy) bool { return p.Paused },
		func(Policy) string { return "" }},
	{"paused_until", both, "", "a unix time in milliseconds up to the year 9999", "The same until then.",
		given(func(p Policy) int64 { return p.PausedUntil }),
		func(p Policy) string { return inRange(p.PausedUntil, MinTrigger, MaxTrigger) }},
}

// PolicyFields lists every field of a route's policy, in the order of the
// documentation.
func PolicyFields() []PolicyField { return slices.Clone(policyFields) }

// AcceptedIn says what the named field accepts.
func AcceptedIn(name string) string {
	for _, f := range policyFields {
		if f.Name == name {
			return f.Accepts
		}
	}
	return ""
}
