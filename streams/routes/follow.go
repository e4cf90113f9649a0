package routes

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/loglimit"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// Follow calls visit for each existing inbox, now and whenever its route is created,
// replaced or deleted, until ctx ends. It makes one call at a time.
func (in *Inboxes) Follow(ctx context.Context, visit func(job.Inbox)) error {
	left, err := in.leftBehind(ctx)
	if err != nil {
		return err
	}
	in.Routes.watch(ctx, func(r *job.Route, found error) {
		switch {
		case r == nil: // every route was visited; the remaining inboxes have none
			for _, box := range left {
				box.Orphaned = true
				visit(box.Inbox)
			}
			left = nil
		case errors.Is(found, job.ErrNotARoute):
			// The inbox keeps its fires until the key holds a route again or is deleted.
			delete(left, r.RouteKey)
		case found == nil:
			box, there := left[r.RouteKey]
			delete(left, r.RouteKey)
			// A route may have appeared without an inbox, by a plain KV put. If the inbox
			// cannot be created now, the first fetch tries again.
			if !there || !in.Fits(box.config, *r) {
				if err := in.Ensure(ctx, *r, HadInbox); err != nil {
					loglimit.Warn(in.cfg.Log, "no inbox for the route yet", "db", r.DB, "route", r.ID, "error", err)
				}
				box.Waiting = box.Waiting || left != nil // a recreated inbox may hold its old fires
			}
			visit(job.Inbox{RouteKey: r.RouteKey, Type: r.Type, Waiting: box.Waiting, Concurrency: r.Concurrency})
		default:
			in.large.Delete(r.RouteKey)
			box, err := in.Find(ctx, r.RouteKey)
			if errors.Is(err, jetstream.ErrConsumerNotFound) {
				return
			}
			if err != nil {
				loglimit.Warn(in.cfg.Log, "the inbox of a deleted route is cleared at the next start", "db", r.DB, "route", r.ID, "error", err)
				return
			}
			box.Orphaned = true
			visit(box)
		}
	})
	return nil
}

// leftBehind returns the existing inboxes by route.
func (in *Inboxes) leftBehind(ctx context.Context) (map[job.RouteKey]foundInbox, error) {
	boxes, err := in.list(ctx)
	left := make(map[job.RouteKey]foundInbox, len(boxes))
	for _, box := range boxes {
		left[box.RouteKey] = box
	}
	return left, err
}

// Find returns the inbox of a route that may be gone.
func (in *Inboxes) Find(ctx context.Context, k job.RouteKey) (job.Inbox, error) {
	c, err := in.JS.Consumer(ctx, in.cfg.Names.FiresStream(), wire.InboxConsumer(k))
	if err != nil {
		return job.Inbox{}, journal.Unavailable("couldn't find the inbox of the route", err)
	}
	return job.Inbox{RouteKey: k, Type: job.RouteType(c.CachedInfo().Config.Metadata[wire.MetadataType])}, nil
}
