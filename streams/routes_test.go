package streams_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/streams"
)

func TestRoutes(t *testing.T) {
	f := open(t, streams.Config{})
	ctx := t.Context()
	k := job.RouteKey{DB: "db", ID: "r"}
	hook := job.Route{RouteKey: k, Type: job.REST, WebhookURL: "host/path?x=y"}
	other := hook
	other.WebhookURL = "other/path"
	asNATS := job.Route{RouteKey: k, Type: job.NATS}

	is := func(what string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	is("replace of no route", f.Routes().Replace(ctx, hook, 0), job.ErrRouteNotFound)
	is("delete of no route", f.Routes().Delete(ctx, k, 0), job.ErrRouteNotFound)
	is("create", f.Routes().Create(ctx, hook), nil)
	is("create the same", f.Routes().Create(ctx, hook), nil)
	is("create other content", f.Routes().Create(ctx, other), job.ErrRouteExists)
	is("replace with another type", f.Routes().Replace(ctx, asNATS, 0), job.ErrRouteTypeFixed)
	is("replace", f.Routes().Replace(ctx, other, 0), nil)
	for name, get := range map[string]func(context.Context, job.RouteKey) (job.Route, error){
		"store": f.Routes().Get, "cache": f.RouteCache().Get,
	} {
		if got, err := get(ctx, k); err != nil || got.WebhookURL != other.WebhookURL {
			t.Errorf("after replace the %s says %q, %v; want %q", name, got.WebhookURL, err, other.WebhookURL)
		}
	}
	is("delete", f.Routes().Delete(ctx, k, 0), nil)
	for name, get := range map[string]func(context.Context, job.RouteKey) (job.Route, error){
		"store": f.Routes().Get, "cache": f.RouteCache().Get,
	} {
		if _, err := get(ctx, k); !errors.Is(err, job.ErrRouteNotFound) {
			t.Errorf("after delete the %s says %v, want ErrRouteNotFound", name, err)
		}
	}
	is("create with another type before the inbox is empty", f.Routes().Create(ctx, asNATS), job.ErrRouteClearing)
	is("create again", f.Routes().Create(ctx, hook), nil)
	is("delete again", f.Routes().Delete(ctx, k, 0), nil)
	is("remove the inbox", f.Inboxes().Remove(ctx, k), nil)
	is("create with another type after that", f.Routes().Create(ctx, asNATS), nil)
}

// Nothing of a deleted route is kept, whether the deletion is known first from the answer
// or from the watch.
func TestDeletedRouteIsForgotten(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.run()
	r := f.route("r", job.REST)
	if _, err := f.ReservePermits(t.Context(), r.RouteKey, job.RateLimit{PerSecond: 1}, 1); err != nil {
		t.Fatal(err)
	}
	if routes, rates := f.Remembered(); routes != 1 || rates != 1 {
		t.Fatalf("%d routes and %d rates are known, want one of each", routes, rates)
	}
	if err := f.Routes().Delete(t.Context(), r.RouteKey, 0); err != nil {
		t.Fatal(err)
	}
	forgotten := func() bool {
		routes, rates := f.Remembered()
		return routes == 0 && rates == 0
	}
	eventually(t, "the deleted route is forgotten", forgotten)
	if f.DropRoute(r.RouteKey, 2); !forgotten() {
		t.Error("an answer behind the watch brought the deleted route back")
	}
}

var (
	secretA = job.EncodeSecret([]byte("aaaaaaaaaaaaaaaaaaaaaaaa"))
	secretB = job.EncodeSecret([]byte("bbbbbbbbbbbbbbbbbbbbbbbb"))
)

// A change that leaves secrets hidden keeps the secrets stored at that moment.
func TestRouteChangeKeepsSecrets(t *testing.T) {
	f := open(t, streams.Config{})
	ctx := t.Context()
	r := job.Route{RouteKey: job.RouteKey{DB: "db", ID: "r"}, Type: job.REST, WebhookURL: "host",
		Policy: job.Policy{Secret: secretA, Headers: map[string]string{"X-A": "a"}}}
	if err := f.Routes().Create(ctx, r); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Routes().Rotate(ctx, r.RouteKey, secretB, time.Hour); err != nil {
		t.Fatal(err)
	}
	same := job.Route{RouteKey: r.RouteKey, Type: job.REST, WebhookURL: "host", KeepSecret: true,
		Policy: job.Policy{Headers: map[string]string{"X-A": job.Hidden}}}
	if err := f.Routes().Create(ctx, same); err != nil {
		t.Errorf("created again as GET shows it: %v", err)
	}
	if err := f.Routes().Create(ctx, r); !errors.Is(err, job.ErrRouteExists) {
		t.Errorf("created again with the secret of before: %v, want ErrRouteExists", err)
	}
	same.ID = "none"
	if err := f.Routes().Create(ctx, same); !errors.Is(err, job.ErrPolicy) {
		t.Errorf("a new route with a placeholder: %v, want ErrPolicy", err)
	}
	change := job.Route{RouteKey: r.RouteKey, Type: job.REST, WebhookURL: "other", KeepSecret: true,
		Policy: job.Policy{Headers: map[string]string{"X-A": job.Hidden}}}
	if err := f.Routes().Replace(ctx, change, 0); err != nil {
		t.Fatal(err)
	}
	for name, get := range map[string]func(context.Context, job.RouteKey) (job.Route, error){
		"store": f.Routes().Get, "cache": f.RouteCache().Get,
	} {
		got, err := get(ctx, r.RouteKey)
		if err != nil || got.WebhookURL != "other" || got.Secret != secretB || len(got.OldSecrets) != 1 || got.Headers["X-A"] != "a" {
			t.Errorf("the %s has %+v, %v; want the other URL and all secrets", name, got, err)
		}
	}
	change.Headers["X-B"] = job.Hidden
	if err := f.Routes().Replace(ctx, change, 0); !errors.Is(err, job.ErrPolicy) {
		t.Errorf("a placeholder for nothing: %v, want ErrPolicy", err)
	}
	if _, err := f.Routes().Rotate(ctx, job.RouteKey{DB: "db", ID: "none"}, secretB, 0); !errors.Is(err, job.ErrRouteNotFound) {
		t.Errorf("rotation of no route: %v, want ErrRouteNotFound", err)
	}
}

// The consumer of a NATS route follows its policy, even after a change, and the defaults
// once the route has no policy any more.
func TestNativeConsumerFollowsPolicy(t *testing.T) {
	f := open(t, streams.Config{})
	r := job.Route{RouteKey: job.RouteKey{DB: "db", ID: "r"}, Type: job.NATS}
	for i, tt := range []struct {
		policy  job.Policy
		wait    time.Duration
		deliver int
		backOff []time.Duration
	}{
		{job.Policy{AckWait: 5 * time.Second}, 5 * time.Second, 12, nil},
		{job.Policy{MaxDeliver: 3, AckWait: time.Second}, time.Second, 3, nil},
		{job.Policy{BackOff: []time.Duration{2 * time.Second, time.Minute}, MaxDeliver: 2}, 2 * time.Second, 2, []time.Duration{2 * time.Second, time.Minute}},
		{job.Policy{BackOff: slices.Repeat([]time.Duration{time.Second}, 20)}, time.Second, 20, slices.Repeat([]time.Duration{time.Second}, 20)},
		{job.Policy{}, 30 * time.Second, 12, nil},
	} {
		r.Policy = tt.policy
		write := func(ctx context.Context, r job.Route) error { return f.Routes().Replace(ctx, r, 0) }
		if i == 0 {
			write = f.Routes().Create
		}
		// Twice, since repeating a change that was cut short completes it.
		for range 2 {
			if err := write(t.Context(), r); err != nil {
				t.Fatalf("policy %+v: %v", tt.policy, err)
			}
		}
		c, err := f.js.Consumer(t.Context(), "FIRES", "db_r")
		if err != nil {
			t.Fatal(err)
		}
		got := c.CachedInfo().Config
		if got.AckWait != tt.wait || got.MaxDeliver != tt.deliver || !slices.Equal(got.BackOff, tt.backOff) {
			t.Errorf("policy %+v: the consumer has ack wait %v, %d deliveries and backoff %v; want %v, %d and %v",
				tt.policy, got.AckWait, got.MaxDeliver, got.BackOff, tt.wait, tt.deliver, tt.backOff)
		}
		if got.Metadata["belfry.route"] != "r" || got.FilterSubject != "fires.db.r" {
			t.Errorf("policy %+v: the consumer lost the rest of its configuration: %+v", tt.policy, got)
		}
	}
}

// Follow reports a route's concurrency to the workers.
func TestFollowTellsConcurrency(t *testing.T) {
	f := open(t, streams.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	visits := make(chan job.Inbox, 10)
	ended := make(chan error, 1)
	f.route("first", job.REST)
	go func() { ended <- f.Inboxes().Follow(ctx, func(in job.Inbox) { visits <- in }) }()
	<-visits // the first one: a later inbox is not taken for one left behind
	r := job.Route{RouteKey: job.RouteKey{DB: "db", ID: "r"}, Type: job.REST, WebhookURL: "host", Policy: job.Policy{Concurrency: 7}}
	if err := f.Routes().Create(ctx, r); err != nil {
		t.Fatal(err)
	}
	if in := <-visits; in.Concurrency != 7 {
		t.Errorf("the inbox has concurrency %d, want 7", in.Concurrency)
	}
	r.Concurrency = 9
	if err := f.Routes().Replace(ctx, r, 0); err != nil {
		t.Fatal(err)
	}
	if in := <-visits; in.Concurrency != 9 {
		t.Errorf("after the change the inbox has concurrency %d, want 9", in.Concurrency)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Follow ended with %v", err)
	}
}
