package job

import (
	"slices"
	"strings"
	"time"
)

// Policy is a route's settings for its delivery. The zero Policy sets nothing. A zero
// field has the default of [PolicyFields], unless its comment says otherwise.
type Policy struct {
	// These fields are for REST routes.

	Retry       RetryPolicy
	Timeout     time.Duration // of one try
	Method      string
	ContentType string

	// Headers are sent with each try, under their canonical names. Their values are
	// secrets.
	Headers map[string]string

	// FinalStatuses end the retries at once. nil means the default; an empty list
	// means that no status does.
	FinalStatuses []StatusRange

	Concurrency int // tries under way at once
	RateLimit   RateLimit
	MaxLateness time.Duration // of a first try

	// Secret signs each try; see [CheckSecret]. Empty means unsigned.
	Secret string

	// OldSecrets also sign, until receivers have switched to the new secret.
	OldSecrets []OldSecret

	// These fields are for NATS routes: they configure the consumer of the
	// subscribers.

	AckWait    time.Duration
	MaxDeliver int
	BackOff    []time.Duration // replaces AckWait: the waits between deliveries

	// These fields are for both.

	// Paused keeps jobs from firing until somebody resumes the route. PausedUntil
	// does so until that time, in unix milliseconds.
	Paused      bool
	PausedUntil int64
}

// These are the defaults of routes, beside [DefaultRetry]. People read them in
// [PolicyFields].
const (
	DefaultTimeout     = 15 * time.Second // of one try
	DefaultConcurrency = 64               // tries of one route under way on each node

	DefaultAckWait    = 30 * time.Second
	DefaultMaxDeliver = 12
)

// RateLimit is how fast a route may fire, over all nodes: PerSecond in the long run,
// Burst at once. Zero means no limit.
type RateLimit struct {
	PerSecond float64
	Burst     int
}

// OldSecret is a secret that was rotated out. It signs until Until, in unix
// milliseconds.
type OldSecret struct {
	Secret string
	Until  int64
}

// StatusRange is the HTTP statuses from First to Last, both included.
type StatusRange struct{ First, Last int }

// Has reports whether the status is in the range.
func (r StatusRange) Has(status int) bool { return r.First <= status && status <= r.Last }

// Final reports whether a status ends the retries at once.
func (p Policy) Final(status int) bool {
	if p.FinalStatuses == nil {
		return status == 410
	}
	return slices.ContainsFunc(p.FinalStatuses, func(r StatusRange) bool { return r.Has(status) })
}

// PausedAt reports whether the policy keeps jobs from firing at now.
func (p Policy) PausedAt(now time.Time) bool { return p.Paused || now.UnixMilli() < p.PausedUntil }

// Secrets lists the secrets that sign a try made at now, newest first.
func (p Policy) Secrets(now time.Time) []string {
	var all []string
	if p.Secret != "" {
		all = append(all, p.Secret)
	}
	for _, old := range p.OldSecrets {
		if now.UnixMilli() < old.Until {
			all = append(all, old.Secret)
		}
	}
	return all
}

// AllSecrets lists the secrets that sign now or did before, newest first.
func (p Policy) AllSecrets() []string {
	all := []string{p.Secret}
	for _, old := range p.OldSecrets {
		all = append(all, old.Secret)
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// Equal reports whether two policies are the same. Every field counts. A nil list of
// final statuses differs from an empty one.
func (p Policy) Equal(q Policy) bool {
	return (p.FinalStatuses == nil) == (q.FinalStatuses == nil) && same(p, q)
}

// CanonicalHeader returns a header name in the form that is compared and sent: each
// part between hyphens begins with a capital.
func CanonicalHeader(name string) string {
	b := []byte(strings.ToLower(name))
	for i, c := range b {
		if (i == 0 || b[i-1] == '-') && 'a' <= c && c <= 'z' {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}
