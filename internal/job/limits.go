package job

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxIDBytes is the longest id, database or collection name, in bytes.
const MaxIDBytes = 200

// The accepted trigger times, in unix milliseconds. Smaller values are almost
// certainly seconds, larger ones micro- or nanoseconds.
const (
	MinTrigger int64 = 100_000_000_000     // 1973-03-03
	MaxTrigger int64 = 253_402_300_799_999 // the last millisecond of year 9999
)

// CheckID accepts any UTF-8 text of 1 to [MaxIDBytes] bytes. field names it in
// the error, which is an [ErrID].
func CheckID(field, id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: %s is empty; 1 to %d bytes of UTF-8 are accepted", ErrID, field, MaxIDBytes)
	case len(id) > MaxIDBytes:
		return fmt.Errorf("%w: %s has %d bytes; 1 to %d bytes of UTF-8 are accepted", ErrID, field, len(id), MaxIDBytes)
	case !utf8.ValidString(id):
		return fmt.Errorf("%w: %s is not valid UTF-8; 1 to %d bytes of UTF-8 are accepted", ErrID, field, MaxIDBytes)
	}
	return nil
}

// Check validates every part of the key.
func (k Key) Check() error {
	if err := CheckID("db", k.DB); err != nil {
		return err
	}
	if err := CheckID("collection", k.Collection); err != nil {
		return err
	}
	return CheckID("id", k.ID)
}

// Check validates every part of the key.
func (k RouteKey) Check() error {
	if err := CheckID("db", k.DB); err != nil {
		return err
	}
	return CheckID("id", k.ID)
}

// CheckTrigger accepts unix milliseconds between [MinTrigger] and
// [MaxTrigger], past ones included. The error is an [ErrTriggerTime].
func CheckTrigger(ms int64) error {
	switch {
	case ms < 0:
		return fmt.Errorf("%w: %d is negative; unix milliseconds are accepted, as in 1667659342626", ErrTriggerTime, ms)
	case ms < MinTrigger:
		return fmt.Errorf("%w: %d looks like seconds; unix milliseconds are accepted, as in 1667659342626", ErrTriggerTime, ms)
	case ms > MaxTrigger:
		return fmt.Errorf("%w: %d is after the year 9999 and looks like micro- or nanoseconds; unix milliseconds are accepted, as in 1667659342626", ErrTriggerTime, ms)
	}
	return nil
}

// Check validates the route. The errors wrap [ErrID], [ErrRouteType],
// [ErrWebhookURL] and [ErrPolicy], and never quote the URL, which may hold
// credentials, or a secret.
func (r Route) Check() error {
	if err := r.RouteKey.Check(); err != nil {
		return err
	}
	switch r.Type {
	case REST:
		if _, err := r.Target("https"); err != nil {
			return err
		}
		return r.Policy.check(r.Type)
	case NATS:
		if r.WebhookURL != "" {
			return fmt.Errorf("%w: a route of type NATS has none; leave the field out", ErrWebhookURL)
		}
		return r.Policy.check(r.Type)
	}
	return fmt.Errorf("%w: %s; \"REST\" and \"NATS\" are accepted", ErrRouteType, Quote(string(r.Type)))
}

// Target returns the URL to post to. One without a scheme, as in
// "host:8080/path?x=y", is called with defaultScheme. The error is an
// [ErrWebhookURL] and quotes nothing of the URL.
func (r Route) Target(defaultScheme string) (*url.URL, error) {
	raw := r.WebhookURL
	if raw == "" {
		return nil, badURL("it is empty")
	}
	// Only a "://" before the path is a scheme's; one may well stand in the query.
	head, _, hasScheme := strings.Cut(raw, "://")
	if hasScheme = hasScheme && !strings.ContainsAny(head, "/?#"); !hasScheme {
		raw = defaultScheme + "://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, badURL("it cannot be parsed")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, badURL("it has another scheme")
	}
	// As in "mailto:a@b", which is now a user with a password.
	if _, colon := u.User.Password(); colon && !hasScheme {
		return nil, badURL("what follows its first colon is neither // nor a port")
	}
	if !strings.ContainsFunc(u.Hostname(), letterOrDigit) {
		return nil, badURL("it has no host")
	}
	if strings.HasSuffix(u.Host, ":") || u.Port() != "" && !validPort(u.Port()) {
		return nil, badURL("its port is not one of 1 to 65535")
	}
	return u, nil
}

func badURL(reason string) error {
	return fmt.Errorf("%w: %s; an http or https URL with a host is accepted, as in https://example.org:8080/path, also without its scheme",
		ErrWebhookURL, reason)
}

func letterOrDigit(c rune) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) }

func validPort(s string) bool {
	port, err := strconv.ParseUint(s, 10, 16)
	return err == nil && port > 0
}

// Quote quotes a client's text for an error, cut after 64 bytes.
func Quote(s string) string {
	const longest = 64
	if len(s) <= longest {
		return strconv.Quote(s)
	}
	cut := longest
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}
