package client

import (
	"encoding/json"
	"strconv"
)

// RouteType says how a route hands over its jobs.
type RouteType string

// The types of routes: webhooks, and subscribers over NATS.
const (
	REST RouteType = "REST"
	NATS RouteType = "NATS"
)

// NewRoute is a route to create: the body of POST /route/{db}.
type NewRoute struct {
	ID string `json:"id"`
	RouteSettings
}

// RouteChange is what a route is replaced with: the body of PUT
// /route/{db}/{id}. A field that is left out gets its default, except Secret.
type RouteChange struct {
	ID string `json:"id,omitempty"` // as in the path
	RouteSettings
}

// Route is a route: the answer to GET /route/{db}/{id}.
type Route struct {
	ID string `json:"id"`
	RouteSettings

	// Where to subscribe; NATS routes only.

	Stream      string `json:"stream,omitempty"`
	Subject     string `json:"subject,omitempty"`
	Consumer    string `json:"consumer,omitempty"`
	JSAPIPrefix string `json:"js_api_prefix,omitempty"` // in place of $JS.API, from another account

	PublicKey string  `json:"public_key,omitempty"` // verifies, if an ed25519 key signs
	Breaker   Breaker `json:"breaker,omitzero"`     // of a REST route whose endpoint is down
}

// Routes is a page of routes: the answer to GET /route/{db}.
type Routes struct {
	Routes []Route `json:"routes"`
	Cursor string  `json:"cursor,omitempty"` // where to go on; empty at the end
}

// RouteSettings are everything about a route but its id. A field that is left out
// has the default that the documentation of routes names.
type RouteSettings struct {
	Type          RouteType `json:"type"`                  // cannot change
	WebhookURL    string    `json:"webhook_url,omitempty"` // of a REST route
	RateLimit     RateLimit `json:"rate_limit,omitzero"`
	MaxLatenessMS int64     `json:"max_lateness_ms,omitempty"` // jobs that would fire later expire
	Paused        bool      `json:"paused,omitempty"`
	PausedUntil   int64     `json:"paused_until,omitempty"`

	// REST routes only.

	Retry       Retry  `json:"retry,omitzero"`
	TimeoutMS   int64  `json:"timeout_ms,omitempty"` // of one attempt, to the end of the answer
	Method      string `json:"method,omitempty"`
	ContentType string `json:"content_type,omitempty"`

	// Headers are sent with each attempt. Answers have "********" for each
	// value; a [RouteChange] with that keeps the stored one.
	Headers map[string]string `json:"headers,omitempty"`

	// FinalStatuses end the retries at once. nil is the default; an empty list
	// has none.
	FinalStatuses []FinalStatus `json:"final_statuses,omitzero"`

	// Secret signs each attempt. Answers have "********" for it. In a
	// [RouteChange] nil keeps the stored one, and an empty one removes it.
	Secret *Secret `json:"secret,omitempty"`

	Concurrency int `json:"concurrency,omitempty"` // attempts under way at once

	// NATS routes only.

	AckWaitMS  int64   `json:"ack_wait_ms,omitempty"`
	MaxDeliver int     `json:"max_deliver,omitempty"`
	BackoffMS  []int64 `json:"backoff_ms,omitzero"` // in place of AckWaitMS
}

// Retry says when a failed attempt is repeated.
type Retry struct {
	MaxAttempts  int      `json:"max_attempts,omitempty"` // the first included
	MinBackoffMS int64    `json:"min_backoff_ms,omitempty"`
	MaxBackoffMS int64    `json:"max_backoff_ms,omitempty"`
	Multiplier   float64  `json:"multiplier,omitempty"`
	Jitter       *float64 `json:"jitter,omitempty"`
	ScheduleMS   []int64  `json:"schedule_ms,omitzero"` // the waits, in place of all the above
	MaxAgeMS     int64    `json:"max_age_ms,omitempty"`
}

// RateLimit is how fast a route fires: PerSecond in the long run, and Burst at
// once.
type RateLimit struct {
	PerSecond float64 `json:"per_second,omitempty"`
	Burst     int     `json:"burst,omitempty"`
}

// FinalStatus is an HTTP status as "410", or a class of them as "4xx".
type FinalStatus string

// MarshalJSON writes a status as a number and a class as a string.
func (s FinalStatus) MarshalJSON() ([]byte, error) {
	if n, err := strconv.Atoi(string(s)); err == nil {
		return strconv.AppendInt(nil, int64(n), 10), nil
	}
	return json.Marshal(string(s))
}

// UnmarshalJSON reads both a number and a string.
func (s *FinalStatus) UnmarshalJSON(data []byte) error {
	var n int
	if json.Unmarshal(data, &n) == nil {
		*s = FinalStatus(strconv.Itoa(n))
		return nil
	}
	return json.Unmarshal(data, (*string)(s))
}

// Secret signs the attempts of a route; an empty one is sent as null.
type Secret string

// MarshalJSON writes null for an empty secret.
func (s Secret) MarshalJSON() ([]byte, error) {
	if s == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(s))
}

// Breaker keeps attempts from an endpoint that is down. The zero Breaker has not
// tripped.
type Breaker struct {
	State BreakerState `json:"state"`
	Until int64        `json:"until"` // when attempts are made again
}

// BreakerState is the state of a breaker that has tripped.
type BreakerState string

// The states are open, with no attempts at all, and half open, with one at a time to
// find out.
const (
	BreakerOpen     BreakerState = "open"
	BreakerHalfOpen BreakerState = "half-open"
)

// Pause is the body of POST /route/{db}/{id}/pause.
type Pause struct {
	ID          string `json:"id,omitempty"`           // as in the path
	PausedUntil int64  `json:"paused_until,omitempty"` // 0 is until it is resumed
}

// Rotation asks for another secret: the body of POST /route/{db}/{id}/rotate.
type Rotation struct {
	Secret  string `json:"secret,omitempty"`   // the new one; one is made if it is empty
	GraceMS *int64 `json:"grace_ms,omitempty"` // how long the old one goes on signing
}

// Rotated is the answer to [Rotation].
type Rotated struct {
	Status          string `json:"status"`
	Secret          string `json:"secret"` // shown this once
	PublicKey       string `json:"public_key,omitempty"`
	OldSecretsUntil int64  `json:"old_secrets_until,omitempty"`
}
