package job

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// RouteKey names a route: a database, and the route's id in it.
type RouteKey struct {
	DB string
	ID string
}

// RouteType says how a route hands over its fires. It never changes.
type RouteType string

// The route types.
const (
	// REST posts each fire to the route's webhook URL.
	REST RouteType = "REST"
	// NATS leaves each fire in the FIRES stream for the subscribers of the
	// route's consumer.
	NATS RouteType = "NATS"
)

// Route is a recipient of fires.
type Route struct {
	RouteKey

	Type RouteType

	// WebhookURL is the URL that a REST route posts to, escaped as it is sent. It may
	// lack the scheme.
	WebhookURL string

	// Policy is the route's settings for its delivery.
	Policy

	// KeepSecret says that a request does not mention the secret, so a stored one
	// stays.
	KeepSecret bool

	// Revision is the route's place in the store.
	Revision uint64

	// Breaker is the state of the route's breaker; the store fills it in.
	Breaker Breaker

	// Subscription is what the subscribers of a NATS route use; the store fills it
	// in.
	Subscription Subscription
}

// Subscription names what a plain NATS client needs to receive a route's fires: the
// stream, the subject in it, and the durable pull consumer. APIPrefix is what the
// client must use in place of $JS.API; it is empty if the client need not change it.
type Subscription struct {
	Stream    string
	Subject   string
	Consumer  string
	APIPrefix string
}

// SameContent reports whether two routes are the same, so that creating one after the
// other changes nothing. Every field counts, except those that do not describe the
// route itself.
func (r Route) SameContent(other Route) bool {
	return r.Policy.Equal(other.Policy) && same(r.content(), other.content())
}

// content returns the route without the fields that the store fills in, and without
// those that describe a request.
func (r Route) content() Route {
	r.KeepSecret, r.Revision, r.Breaker, r.Subscription = false, 0, Breaker{}, Subscription{}
	return r
}

// Check validates the route. The errors wrap [ErrID], [ErrRouteType], [ErrWebhookURL]
// and [ErrPolicy]. They never quote a secret, or the URL, which may hold credentials.
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

// Target returns the URL to post to. A URL without a scheme, such as
// "host:8080/path?x=y", gets defaultScheme. The error is an [ErrWebhookURL] and
// quotes nothing of the URL.
func (r Route) Target(defaultScheme string) (*url.URL, error) {
	raw := r.WebhookURL
	if raw == "" {
		return nil, BadURL("it is empty")
	}
	// Only a "://" before the path belongs to a scheme; the query may contain one,
	// too.
	head, _, hasScheme := strings.Cut(raw, "://")
	if hasScheme = hasScheme && !strings.ContainsAny(head, "/?#"); !hasScheme {
		raw = defaultScheme + "://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, BadURL("it cannot be parsed")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, BadURL("it has another scheme")
	}
	// One example is "mailto:a@b", which now looks like a user with a password.
	if _, colon := u.User.Password(); colon && !hasScheme {
		return nil, BadURL("what follows its first colon is neither // nor a port")
	}
	if !strings.ContainsFunc(u.Hostname(), letterOrDigit) {
		return nil, BadURL("it has no host")
	}
	if strings.HasSuffix(u.Host, ":") || u.Port() != "" && !validPort(u.Port()) {
		return nil, BadURL("its port is not one of 1 to 65535")
	}
	return u, nil
}

// BadURL returns an [ErrWebhookURL] with the reason and with what is accepted. The
// reason must not quote anything of the URL.
func BadURL(reason string) error {
	return fmt.Errorf("%w: %s; an http or https URL with a host is accepted, as in https://example.org:8080/path, also without its scheme",
		ErrWebhookURL, reason)
}

func letterOrDigit(c rune) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) }

func validPort(s string) bool {
	port, err := strconv.ParseUint(s, 10, 16)
	return err == nil && port > 0
}
