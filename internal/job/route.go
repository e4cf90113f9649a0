package job

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

	// WebhookURL is where a REST route posts to, as the client gave it; it
	// may lack the scheme.
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
// route: the stream, the subject in it, and the durable pull consumer.
type Subscription struct {
	Stream   string
	Subject  string
	Consumer string
}

// SameContent reports whether two routes say the same, so that creating one
// after the other changes nothing.
func (r Route) SameContent(other Route) bool {
	return r.RouteKey == other.RouteKey && r.Type == other.Type && r.WebhookURL == other.WebhookURL && r.Policy.Equal(other.Policy)
}
