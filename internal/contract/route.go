package contract

import (
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/job"
)

// ParseRoute reads the body of a request to create or change a route. It treats the
// id like [ParseJob]. The returned route has the whole key and is checked with
// [job.Route.Check]. It may leave stored secrets as they are, for [job.Route.Over] to
// fill in. It has no subscription: the fields that only [AppendRouteAnswer] writes
// are ignored. No error quotes the URL or a secret.
func ParseRoute(body []byte, key job.RouteKey) (job.Route, error) {
	r, err := parseRoute(body, &job.Route{RouteKey: key, KeepSecret: true}, cleanURL)
	if err == nil {
		err = r.RouteKey.CheckNew()
	}
	if err != nil {
		return job.Route{}, err
	}
	if err := checkAuthorization(r); err != nil {
		return job.Route{}, err
	}
	if n := len(AppendRouteAnswer(nil, r)); n > job.MaxRouteBytes {
		return job.Route{}, fmt.Errorf("%w: the route has %d bytes as a GET shows it; up to %d are accepted", job.ErrTooLarge, n, job.MaxRouteBytes)
	}
	return r, nil
}

// routeAnswerOnly are the fields that only [AppendRouteAnswer] writes.
var routeAnswerOnly = []string{"stream", "subject", "consumer", "js_api_prefix", "breaker", "public_key"}

// RouteAnswerOnly returns the fields of a route's answer that are not the route's own
// and are ignored in a request.
func RouteAnswerOnly() []string { return slices.Clone(routeAnswerOnly) }

// ParseStoredRoute reads the value stored under a route's key, whether [AppendRoute]
// or a person wrote it.
func ParseStoredRoute(value []byte, key job.RouteKey) (job.Route, error) {
	r := job.Route{RouteKey: key}
	return parseRoute(value, &r, mendURL, oldSecretsField(&r.Policy))
}

func parseRoute(body []byte, r *job.Route, clean func(string) (string, error), more ...field) (job.Route, error) {
	hasURL := false
	fields := []field{
		idField(&r.ID),
		stringField("type", true, (*string)(&r.Type)),
		{"webhook_url", false, func(value jsontext.Value) error {
			hasURL = true
			return readString("webhook_url", value, &r.WebhookURL)
		}},
	}
	fields = append(append(fields, policyFields(r)...), more...)
	fields = append(fields, ignored(routeAnswerOnly...)...)
	if err := readObject(body, fields...); err != nil {
		return job.Route{}, err
	}
	if r.Type == job.REST && !hasURL {
		return job.Route{}, fmt.Errorf("%w: webhook_url; a route of type REST needs it", job.ErrMissingField)
	}
	if r.Type == job.REST {
		url, err := clean(r.WebhookURL)
		if err != nil {
			return job.Route{}, err
		}
		r.WebhookURL = url
	}
	if err := r.Check(); err != nil {
		return job.Route{}, err
	}
	return *r, nil
}

// AppendRoute appends the value stored under the route's key: id, type, webhook_url
// for a REST route, and the policy fields that are not the default.
// [ParseStoredRoute] reads it back.
func AppendRoute(dst []byte, r job.Route) []byte {
	dst = appendPolicy(appendRouteFields(dst, r), r.Policy, func(secret string) string { return secret })
	return append(appendOldSecrets(dst, r.OldSecrets), '}')
}

// AppendRouteAnswer appends the answer to a GET of a route: the fields of
// [AppendRoute] with [job.Hidden] in place of each secret, then
//
//   - for a NATS route the stream, subject and consumer for its subscribers to
//     use, and js_api_prefix if they need one;
//   - breaker, if it has tripped, with its state (open or half-open) and the end of
//     its open time;
//   - public_key, with which receivers verify, if an ed25519 key signs.
func AppendRouteAnswer(dst []byte, r job.Route) []byte {
	dst = appendPolicy(appendRouteFields(dst, r), r.Policy, func(string) string { return job.Hidden })
	if r.Type == job.NATS {
		dst = AppendString(append(dst, `,"stream":`...), r.Subscription.Stream)
		dst = AppendString(append(dst, `,"subject":`...), r.Subscription.Subject)
		dst = AppendString(append(dst, `,"consumer":`...), r.Subscription.Consumer)
		dst = AppendWord(dst, "js_api_prefix", r.Subscription.APIPrefix)
	}
	if r.Breaker.State != "" {
		dst = AppendString(append(dst, `,"breaker":{"state":`...), string(r.Breaker.State))
		dst = append(AppendInt(dst, "until", r.Breaker.Until), '}')
	}
	return append(appendPublicKey(dst, r.Secret), '}')
}

// appendRouteFields leaves the object open.
func appendRouteFields(dst []byte, r job.Route) []byte {
	dst = AppendString(append(dst, `{"id":`...), r.ID)
	dst = AppendString(append(dst, `,"type":`...), string(r.Type))
	return AppendWord(dst, "webhook_url", r.WebhookURL)
}
