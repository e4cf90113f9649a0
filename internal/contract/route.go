package contract

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/job"
)

// ParseRoute reads a route: the body of a request, or the value stored under
// its key. It treats the id like [ParseJob]. The returned route has the whole
// key, is checked with [job.Route.Check], and has no subscription: what
// [AppendRouteAnswer] adds for a NATS route is no field of the resource, and
// refused here like any unknown one. No error quotes the URL.
func ParseRoute(body []byte, key job.RouteKey) (job.Route, error) {
	r := job.Route{RouteKey: key}
	hasURL := false
	err := readObject(body,
		idField(&r.ID),
		stringField("type", true, (*string)(&r.Type)),
		field{"webhook_url", false, func(value jsontext.Value) error {
			hasURL = true
			return readString("webhook_url", value, &r.WebhookURL)
		}},
	)
	if err != nil {
		return job.Route{}, err
	}
	if r.Type == job.REST && !hasURL {
		return job.Route{}, fmt.Errorf("%w: webhook_url; a route of type REST needs it", job.ErrMissingField)
	}
	if err := r.Check(); err != nil {
		return job.Route{}, err
	}
	return r, nil
}

// AppendRoute appends the route as the client gave it, which is the value
// stored under its key: id, type, and for a REST route webhook_url.
// [ParseRoute] reads it back.
func AppendRoute(dst []byte, r job.Route) []byte {
	return append(appendRouteFields(dst, r), '}')
}

// AppendRouteAnswer appends the answer to a GET of a route: the fields of
// [AppendRoute], and for a NATS route the stream, subject and consumer for its
// subscribers to use.
func AppendRouteAnswer(dst []byte, r job.Route) []byte {
	dst = appendRouteFields(dst, r)
	if r.Type == job.NATS {
		dst = appendString(append(dst, `,"stream":`...), r.Subscription.Stream)
		dst = appendString(append(dst, `,"subject":`...), r.Subscription.Subject)
		dst = appendString(append(dst, `,"consumer":`...), r.Subscription.Consumer)
	}
	return append(dst, '}')
}

// appendRouteFields leaves the object open.
func appendRouteFields(dst []byte, r job.Route) []byte {
	dst = appendString(append(dst, `{"id":`...), r.ID)
	dst = appendString(append(dst, `,"type":`...), string(r.Type))
	if r.WebhookURL != "" {
		dst = appendString(append(dst, `,"webhook_url":`...), r.WebhookURL)
	}
	return dst
}
