package job

import (
	"fmt"
	"mime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// check validates the delivery settings of a route of type t. The error is an
// [ErrPolicy]; it names the field and quotes no secret.
func (p Policy) check(t RouteType) error {
	for _, f := range policyFields {
		if !f.given(p) {
			continue
		}
		if !slices.Contains(f.For, t) {
			return badPolicy(f.Name, "the route is of type "+string(t), "the field for routes of type "+string(f.For[0]))
		}
		if f.wrong == nil {
			continue
		}
		if wrong := f.wrong(p); wrong != "" {
			return badPolicy(f.Name, wrong, f.Accepts)
		}
	}
	if t == NATS && len(p.OldSecrets) > 0 {
		return badPolicy("secret", "the route is of type NATS", "the field for routes of type REST")
	}
	return p.checkTogether()
}

// checkTogether finds conflicts between fields, and errors in the secrets.
func (p Policy) checkTogether() error {
	if r := p.Retry; !r.IsZero() {
		backoff := r.MaxAttempts != 0 || r.First != 0 || r.Multiplier != 0 || r.Max != 0 || r.Jitter != 0
		switch whole := r.MaxAttempts != 0 && r.First != 0 && r.Multiplier != 0 && r.Max != 0; {
		case r.Schedule != nil && backoff:
			return badPolicy("retry.schedule_ms", "it is given beside max_attempts or fields of the backoff", "one of the two")
		case r.Schedule == nil && !whole:
			return badPolicy("retry", "one of its fields is 0", "max_attempts, min_backoff_ms, max_backoff_ms and multiplier together")
		}
	}
	switch {
	case p.RateLimit != RateLimit{} && (p.RateLimit.PerSecond == 0 || p.RateLimit.Burst == 0):
		return badPolicy("rate_limit", "one of its fields is 0", "per_second and burst together")
	case len(p.BackOff) > 0 && p.AckWait != 0:
		return badPolicy("backoff_ms", "it is given beside ack_wait_ms", "one of the two")
	case len(p.BackOff) > 0 && p.MaxDeliver != 0 && len(p.BackOff) > p.MaxDeliver:
		return badPolicy("backoff_ms", fmt.Sprintf("%d waits with a max_deliver of %d", len(p.BackOff), p.MaxDeliver), AcceptedIn("backoff_ms"))
	}
	for _, secret := range p.AllSecrets() {
		if secret == Hidden {
			continue
		}
		if err := CheckSecret(secret); err != nil {
			return err
		}
	}
	return nil
}

// BadPolicy returns an error that says what is wrong with a field of a route's
// policy, and what the field accepts.
func BadPolicy(name, wrong string) error { return badPolicy(name, wrong, AcceptedIn(name)) }

func badPolicy(name, wrong, accepts string) error {
	return fmt.Errorf("%w: %s: %s; accepted: %s", ErrPolicy, name, wrong, strings.ReplaceAll(accepts, "`", ""))
}

func given[T comparable](at func(Policy) T) func(Policy) bool {
	return func(p Policy) bool { var zero T; return at(p) != zero }
}

func inRange[T int | int64 | float64](v, least, most T) string {
	return unless(least <= v && v <= most, fmt.Sprint(v))
}

func millisInRange(d, least, most time.Duration) string {
	return unless(least <= d && d <= most, strconv.FormatInt(d.Milliseconds(), 10))
}

func waitsInRange(waits []time.Duration) string {
	if len(waits) == 0 || len(waits) > maxWaits {
		return fmt.Sprintf("it has %d waits", len(waits))
	}
	for _, d := range waits {
		if wrong := millisInRange(d, time.Millisecond, maxWait); wrong != "" {
			return wrong + " is in it"
		}
	}
	return ""
}

func wrongStatuses(ranges []StatusRange) string {
	if len(ranges) > 100 {
		return fmt.Sprintf("it has %d elements", len(ranges))
	}
	for _, r := range ranges {
		class := r.First%100 == 0 && r.Last == r.First+99
		if r.First < 300 || r.Last > 599 || r.First != r.Last && !class {
			return fmt.Sprintf("%d is in it", r.First)
		}
	}
	return ""
}

// wrongHeaders says what is wrong with the headers. It quotes no value.
func wrongHeaders(headers map[string]string) string {
	if len(headers) > maxHeaders {
		return fmt.Sprintf("it has %d names", len(headers))
	}
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value := headers[name]
		switch {
		case !isToken(name) || len(name) > 100:
			return Quote(name) + " is no name of a header"
		case slices.Contains(reservedHeaders, CanonicalHeader(name)),
			slices.ContainsFunc(reservedHeaderPrefixes, func(p string) bool { return strings.HasPrefix(CanonicalHeader(name), p) }):
			return name + " is one that Belfry or HTTP sets, or may not be fixed"
		case value == "" || len(value) > maxHeaderBytes || !isPrintable(value) || strings.TrimSpace(value) != value:
			return "the value of " + name + " is empty, too long, or has spaces around it or characters that are not printable ASCII"
		}
	}
	return ""
}

func isMediaType(s string) bool {
	_, _, err := mime.ParseMediaType(s)
	return err == nil && len(s) <= 200 && isPrintable(s) && strings.Contains(s, "/")
}

func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

// isToken reports whether s is a token as RFC 9110 defines it.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

func unless(ok bool, wrong string) string {
	if ok {
		return ""
	}
	return wrong
}
