package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams/routes"
	"belfry/streams/wire"
)

// compareConsumers compares the consumers of all routes with what they should be, mends
// them, and records their ack floors. It does so on the node that owns the first
// partition.
func (a *Audit) compareConsumers(ctx context.Context) error {
	if !a.others.Owner() || !a.cache.IsLoaded() {
		a.inboxes.Floors.Loaded = false
		return nil
	}
	in := a.inboxes
	stream, err := in.JS.Stream(ctx, a.names.FiresStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil // reported already
	}
	if err != nil {
		return err
	}
	in.Floors.Begin(stream.CachedInfo().Created)
	if err := in.Floors.Load(ctx); err != nil {
		return err
	}
	there := map[string]*jetstream.ConsumerInfo{}
	consumers := stream.ListConsumers(ctx)
	for info := range consumers.Info() {
		there[info.Name] = info
	}
	if err := consumers.Err(); err != nil {
		return err
	}
	routes := a.cache.All()
	for _, r := range routes {
		info := there[wire.InboxConsumer(r.RouteKey)]
		if info != nil && in.Fits(info.Config, r) {
			in.Saw(info)
			a.mender.report.note(consumerAsset(a.names, r.RouteKey), "")
			continue
		}
		a.mendConsumer(ctx, r.RouteKey)
	}
	in.Floors.KeepOnly(there, routes)
	a.forgetConsumers(routes)
	if err := a.keepAdvisories(ctx); err != nil {
		return err
	}
	return in.Floors.Save(ctx)
}

// compareNames compares the consumers if one of a route is missing.
func (a *Audit) compareNames(ctx context.Context) error {
	stream, err := a.inboxes.JS.Stream(ctx, a.names.FiresStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	there, folders := map[string]bool{}, map[string]bool{}
	names := stream.ConsumerNames(ctx)
	for name := range names.Name() {
		there[name] = true
		if a.cfg.IgnoresCase {
			folders[strings.ToLower(name)] = true
		}
	}
	if err := names.Err(); err != nil {
		return err
	}
	for _, r := range a.cache.All() {
		name := wire.InboxConsumer(r.RouteKey)
		if !there[name] && !folders[strings.ToLower(name)] { // none is created in another one's folder
			return a.compareConsumers(ctx)
		}
	}
	return nil
}

// mendConsumer mends the consumer of a route, by the route as it is now.
func (a *Audit) mendConsumer(ctx context.Context, k job.RouteKey) {
	err := a.inboxes.Routes.Exclusively(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, 2*lookTime)
		defer cancel()
		r, err := a.inboxes.Routes.Get(ctx, k)
		if err != nil {
			return err
		}
		return a.inboxes.Mend(ctx, r, routes.HadInbox, slog.LevelWarn)
	})
	switch {
	case err == nil:
		a.mender.report.note(consumerAsset(a.names, k), "")
	case ctx.Err() != nil:
	case errors.Is(err, job.ErrRouteNotFound), errors.Is(err, job.ErrRouteClearing), errors.Is(err, job.ErrNotARoute),
		errors.Is(err, job.ErrCaseOnly): // reported at the start
		a.mender.report.note(consumerAsset(a.names, k), "")
	default:
		a.mender.report.note(consumerAsset(a.names, k), fmt.Sprintf("the consumer %s of %s: %v", wire.InboxConsumer(k), a.names.FiresStream(), err))
	}
}

// forgetConsumers drops the reports about the consumers of routes that are gone.
func (a *Audit) forgetConsumers(routes []job.Route) {
	names := map[string]bool{}
	for _, r := range routes {
		names[consumerAsset(a.names, r.RouteKey)] = true
	}
	for _, asset := range a.mender.report.harmed() {
		if strings.HasPrefix(asset, a.names.FiresStream()+" ") && !names[asset] {
			a.mender.report.note(asset, "")
		}
	}
}

func consumerAsset(n wire.Names, k job.RouteKey) string {
	return n.FiresStream() + " " + wire.InboxConsumer(k)
}

// keepAdvisories keeps the consumer of advisories as it should be. If it is gone, its
// reader recreates it.
func (a *Audit) keepAdvisories(ctx context.Context) error {
	c, err := a.others.Advisories(ctx)
	if err != nil {
		return err
	}
	info := c.CachedInfo()
	a.inboxes.Floors.Note(routes.BuryFloor, routes.Floor{Acked: info.AckFloor.Stream, Made: info.Created})
	return nil
}
