package streams_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
	is("replace of no route", f.Routes().Replace(ctx, hook), job.ErrRouteNotFound)
	is("delete of no route", f.Routes().Delete(ctx, k), job.ErrRouteNotFound)
	is("create", f.Routes().Create(ctx, hook), nil)
	is("create the same", f.Routes().Create(ctx, hook), nil)
	is("create other content", f.Routes().Create(ctx, other), job.ErrRouteExists)
	is("replace with another type", f.Routes().Replace(ctx, asNATS), job.ErrRouteTypeFixed)
	is("replace", f.Routes().Replace(ctx, other), nil)
	for name, get := range map[string]func(context.Context, job.RouteKey) (job.Route, error){
		"store": f.Routes().Get, "cache": f.RouteCache().Get,
	} {
		if got, err := get(ctx, k); err != nil || got.WebhookURL != other.WebhookURL {
			t.Errorf("after replace the %s says %q, %v; want %q", name, got.WebhookURL, err, other.WebhookURL)
		}
	}
	is("delete", f.Routes().Delete(ctx, k), nil)
	for name, get := range map[string]func(context.Context, job.RouteKey) (job.Route, error){
		"store": f.Routes().Get, "cache": f.RouteCache().Get,
	} {
		if _, err := get(ctx, k); !errors.Is(err, job.ErrRouteNotFound) {
			t.Errorf("after delete the %s says %v, want ErrRouteNotFound", name, err)
		}
	}
	is("create with another type before the inbox is empty", f.Routes().Create(ctx, asNATS), job.ErrRouteClearing)
	is("create again", f.Routes().Create(ctx, hook), nil)
	is("delete again", f.Routes().Delete(ctx, k), nil)
	is("remove the inbox", f.Inboxes().Remove(ctx, k), nil)
	is("create with another type after that", f.Routes().Create(ctx, asNATS), nil)
}

// A route's content tells whether a write whose answer was lost was applied.
func TestRoutesLostAnswers(t *testing.T) {
	for _, applied := range []bool{true, false} {
		f := open(t, streams.Config{})
		lose := false
		f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
			if !lose || !strings.HasPrefix(m.Subject, "$KV.routes.") {
				return send(ctx, m)
			}
			lose = false
			if applied {
				if _, err := send(ctx, m); err != nil {
					t.Errorf("the write was not applied: %v", err)
				}
			}
			return nil, context.DeadlineExceeded
		})
		r := job.Route{RouteKey: job.RouteKey{DB: "db", ID: "r"}, Type: job.REST, WebhookURL: "host"}
		for _, step := range []struct {
			name string
			do   func() error
		}{
			{"create", func() error { return f.Routes().Create(t.Context(), r) }},
			{"replace", func() error { r.WebhookURL = "other"; return f.Routes().Replace(t.Context(), r) }},
			{"delete", func() error { return f.Routes().Delete(t.Context(), r.RouteKey) }},
		} {
			lose = true
			if err := step.do(); err != nil {
				t.Errorf("applied %v: %s: %v", applied, step.name, err)
			}
			if lose {
				t.Errorf("applied %v: %s lost no answer", applied, step.name)
			}
		}
	}
}
