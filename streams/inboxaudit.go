package streams

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams/routes"
	"belfry/streams/wire"
)

// auditConsumers compares the consumers of all routes with what they should be,
// mends them, and keeps their ack floors, on the node that owns the first
// partition.
func (s *Store) auditConsumers(ctx context.Context) error {
	if !s.timers[0].owns() || !s.routes.Cache.IsLoaded() {
		s.inboxes.Floors.Loaded = false
		return nil
	}
	in := s.inboxes
	stream, err := in.JS.Stream(ctx, s.cfg.Names.FiresStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil // the audit says so already
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
	routes := s.routes.Cache.All()
	for _, r := range routes {
		info := there[wire.InboxConsumer(r.RouteKey)]
		if info != nil && in.Fits(info.Config, r) {
			in.Saw(info)
			s.report(consumerAsset(s.cfg.Names, r.RouteKey), "")
			continue
		}
		s.mendConsumer(ctx, r.RouteKey)
	}
	in.Floors.KeepOnly(there, routes)
	s.forgetConsumers(routes)
	if err := s.auditBury(ctx); err != nil {
		return err
	}
	return in.Floors.Save(ctx)
}

// auditNames compares the consumers if one of a route is missing.
func (s *Store) auditNames(ctx context.Context) error {
	stream, err := s.inboxes.JS.Stream(ctx, s.cfg.Names.FiresStream())
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
		if s.ignoresCase {
			folders[strings.ToLower(name)] = true
		}
	}
	if err := names.Err(); err != nil {
		return err
	}
	for _, r := range s.routes.Cache.All() {
		name := wire.InboxConsumer(r.RouteKey)
		if !there[name] && !folders[strings.ToLower(name)] { // in the folder of another none is made
			return s.auditConsumers(ctx)
		}
	}
	return nil
}

// mendConsumer mends the consumer of a route, by the route as it is now.
func (s *Store) mendConsumer(ctx context.Context, k job.RouteKey) {
	err := s.inboxes.Routes.Exclusively(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, 2*setupTry)
		defer cancel()
		r, err := s.inboxes.Routes.Get(ctx, k)
		if err != nil {
			return err
		}
		return s.inboxes.Mend(ctx, r, routes.HadInbox, slog.LevelWarn)
	})
	switch {
	case err == nil:
		s.report(consumerAsset(s.cfg.Names, k), "")
	case ctx.Err() != nil:
	case errors.Is(err, job.ErrRouteNotFound), errors.Is(err, job.ErrRouteClearing), errors.Is(err, job.ErrNotARoute),
		errors.Is(err, job.ErrCaseOnly): // the start has told of those
		s.report(consumerAsset(s.cfg.Names, k), "")
	default:
		s.report(consumerAsset(s.cfg.Names, k), fmt.Sprintf("the consumer %s of %s: %v", wire.InboxConsumer(k), s.cfg.Names.FiresStream(), err))
	}
}

// forgetConsumers drops what is amiss with the consumers of routes that are gone.
func (s *Store) forgetConsumers(routes []job.Route) {
	names := map[string]bool{}
	for _, r := range routes {
		names[consumerAsset(s.cfg.Names, r.RouteKey)] = true
	}
	for _, asset := range s.audit.assets() {
		if strings.HasPrefix(asset, s.cfg.Names.FiresStream()+" ") && !names[asset] {
			s.report(asset, "")
		}
	}
}

func consumerAsset(n wire.Names, k job.RouteKey) string {
	return n.FiresStream() + " " + wire.InboxConsumer(k)
}

// buryInbox makes the consumer that reads advisories, unless it is there as it
// should be. One that was removed goes on where it was last seen.
func (s *Store) buryInbox(ctx context.Context) (jetstream.Consumer, error) {
	want := jetstream.ConsumerConfig{Durable: wire.BuryConsumer, AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second, MaxDeliver: -1}
	c, err := s.js.Consumer(ctx, s.cfg.Names.AdvisoryStream(), wire.BuryConsumer)
	if err == nil {
		wrong := routes.InboxDifferences(c.CachedInfo().Config, want)
		if len(wrong) == 0 {
			return c, nil
		}
		s.cfg.Log.Warn("the consumer of a stream was not as it should be; it is again", "stream", s.cfg.Names.AdvisoryStream(), "consumer", wire.BuryConsumer, "settings", routes.NamesOf(wrong))
		s.inboxes.Floors.Note(routes.BuryFloor, routes.Floor{Acked: c.CachedInfo().AckFloor.Stream, Made: c.CachedInfo().Created})
		if err := s.js.DeleteConsumer(ctx, s.cfg.Names.AdvisoryStream(), wire.BuryConsumer); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil, err
		}
	} else if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, err
	}
	stream, err := s.js.Stream(ctx, s.cfg.Names.AdvisoryStream())
	if err != nil {
		return nil, err
	}
	if seen, ok := s.inboxes.Floors.Seen(ctx, routes.BuryFloor); ok && seen.Acked > 0 && seen.Acked <= stream.CachedInfo().State.LastSeq {
		want.DeliverPolicy, want.OptStartSeq = jetstream.DeliverByStartSequencePolicy, seen.Acked+1
	}
	return stream.CreateConsumer(ctx, want)
}

// auditBury keeps the consumer of advisories as it should be. What reads from it
// makes it again when it is gone.
func (s *Store) auditBury(ctx context.Context) error {
	c, err := s.buryInbox(ctx)
	if err != nil {
		return err
	}
	info := c.CachedInfo()
	s.inboxes.Floors.Note(routes.BuryFloor, routes.Floor{Acked: info.AckFloor.Stream, Made: info.Created})
	return nil
}
