package streams

import (
	"context"

	"belfry/internal/job"
)

// Follow calls visit for each inbox there is, now and whenever its route is
// created, replaced or deleted, until ctx ends; one call at a time.
func (in *Inboxes) Follow(ctx context.Context, visit func(job.Inbox)) error {
	left, err := in.leftBehind(ctx)
	if err != nil {
		return err
	}
	in.routes.watch(ctx, func(r *job.Route, exists bool) {
		switch {
		case r == nil: // every route was visited; what is left has none
			for _, box := range left {
				box.Orphaned = true
				visit(box)
			}
			left = nil
		case exists:
			delete(left, r.RouteKey)
			// A route may have come without its inbox, by a plain KV put.
			if err := in.ensure(ctx, r.RouteKey, r.Type); err != nil {
				in.cfg.Log.Error("no inbox for the route", "db", r.DB, "route", r.ID, "err", err)
				return
			}
			visit(job.Inbox{RouteKey: r.RouteKey, Type: r.Type})
		default:
			if box, err := in.find(ctx, r.RouteKey); err == nil {
				box.Orphaned = true
				visit(box)
			}
		}
	})
	return nil
}

// leftBehind returns the inboxes there are, by their route.
func (in *Inboxes) leftBehind(ctx context.Context) (map[job.RouteKey]job.Inbox, error) {
	boxes, err := in.list(ctx)
	left := make(map[job.RouteKey]job.Inbox, len(boxes))
	for _, box := range boxes {
		left[box.RouteKey] = box
	}
	return left, err
}

// find returns the inbox of a route that may be gone.
func (in *Inboxes) find(ctx context.Context, k job.RouteKey) (job.Inbox, error) {
	c, err := in.consumer(ctx, k)
	if err != nil {
		return job.Inbox{}, err
	}
	return job.Inbox{RouteKey: k, Type: job.RouteType(c.CachedInfo().Config.Metadata[metaType])}, nil
}
