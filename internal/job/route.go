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

	// WebhookURL is where a REST route posts to, escaped as it is sent; it may
	// lack the scheme.
	WebhookURL string

	// Policy is what the route says about its delivery.
	Policy

	// KeepSecret says of a request that it does not speak of the secret: one
	// that is stored stays.
	KeepSecret bool

	// Revision is the route's place in the store.
	Revision uint64

	// Breaker is how its breaker stands; the store fills it in.
	Breaker Breaker

	// Subscription is what the subscribers of a NATS route use; the store
	// fills it in.
	Subscription Subscription
}

// Subscription names what a plain NATS client needs to receive the fires of a
// route: the stream, the subject in it, and the durable pull consumer. APIPrefix
// is what the client puts in the place of $JS.API; empty is that it has no need
// to.
type Subscription struct {
	Stream    string
	Subject   string
	Consumer  string
	APIPrefix string
}

// SameContent reports whether two routes say the same, so that creating one
// after the other changes nothing. Every field counts but those that say nothing
// of the route itself.
func (r Route) SameContent(other Route) bool {
	return r.Policy.Equal(other.Policy) && same(r.content(), other.content())
}

// content is the route without what the store fills in, and without what is said of
// a request.
func (r Route) content() Route {
	r.KeepSecret, r.Revision, r.Breaker, r.Subscription = false, 0, Breaker{}, Subscription{}
	return r
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
		return nil, BadURL("it is empty")
	}
	// Only a "://" before the path is a scheme's; one may well stand in the query.
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
	// As in "mailto:a@b", which is now a user with a password.
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

// BadURL returns an [ErrWebhookURL] that says why, and what is accepted. The reason
// must quote nothing of the URL.
func BadURL(reason string) error {
	return fmt.Errorf("%w: %s; an http or https URL with a host is accepted, as in https://example.org:8080/path, also without its scheme",
		ErrWebhookURL, reason)
}

func letterOrDigit(c rune) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) }

func validPort(s string) bool {
	port, err := strconv.ParseUint(s, 10, 16)
	return err == nil && port > 0
}
