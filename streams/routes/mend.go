package routes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// NewInbox and HadInbox say of a route whether it had an inbox before. A new one
// begins with the next fire. One that is gone was removed by other hands: it is
// made again where it was, so that no fire is passed over.
const (
	NewInbox = true
	HadInbox = false
)

// Ensure makes the inbox of a route unless it is there, and brings it in line with
// the route's policy. One left by a deleted route of the same type is taken over
// with what is in it; of another type, it is [job.ErrRouteClearing]. Where another
// consumer has its folder, it is [job.ErrCaseOnly].
func (in *Inboxes) Ensure(ctx context.Context, r job.Route, isNew bool) error {
	return in.Mend(ctx, r, isNew, slog.LevelInfo)
}

// Mend is Ensure, told at the level.
func (in *Inboxes) Mend(ctx context.Context, r job.Route, isNew bool, level slog.Level) error {
	want := in.config(r)
	c, err := in.JS.Consumer(ctx, in.cfg.Names.FiresStream(), want.Durable)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound) && isNew:
		if err := in.checkFolder(ctx, r.RouteKey); err != nil {
			return err
		}
		if c, err = in.JS.CreateConsumer(ctx, in.cfg.Names.FiresStream(), want); err != nil {
			return journal.Unavailable("couldn't make the inbox of the route", err)
		}
		in.Saw(c.CachedInfo())
		return nil
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return in.makeAgain(ctx, r, want, isNew, "it was removed")
	case err != nil:
		return journal.Unavailable("couldn't make the inbox of the route", err)
	}
	is := c.CachedInfo()
	typ, said := job.RouteType(is.Config.Metadata[wire.MetadataType]), is.Config.Metadata[wire.MetadataType] != ""
	if said && typ != r.Type {
		return fmt.Errorf("%w: the deleted route %q of type %s is still being cleared; try again in a minute", job.ErrRouteClearing, r.ID, typ)
	}
	if !said && !in.madeBefore(ctx, is) {
		return in.makeAgain(ctx, r, want, isNew, "it was replaced by one that is not Belfry's")
	}
	wrong := InboxDifferences(is.Config, want)
	if len(wrong) == 0 {
		return nil
	}
	next := is.Config
	for _, f := range wrong {
		if f.remade {
			return in.makeAgain(ctx, r, want, isNew, "its setting "+f.Name+" was changed")
		}
		f.set(&next, &want)
	}
	if _, err := in.JS.UpdateConsumer(ctx, in.cfg.Names.FiresStream(), next); err != nil {
		return journal.Unavailable("couldn't change the inbox of the route", err)
	}
	if is.Config.PauseUntil != nil { // an update leaves a pause alone
		if _, err := in.JS.ResumeConsumer(ctx, in.cfg.Names.FiresStream(), want.Durable); err != nil {
			return journal.Unavailable("couldn't resume the inbox of the route", err)
		}
	}
	in.cfg.Log.Log(ctx, level, "the consumer of a route was not as it should be; it is again",
		"db", r.DB, "route", r.ID, "consumer", want.Durable, "settings", NamesOf(wrong))
	if level >= slog.LevelWarn {
		in.cfg.Metrics.Mended("consumer")
	}
	return nil
}

// makeAgain makes a consumer that other hands removed or replaced: behind the last
// ack floor that was seen of it, or without one from the start of FIRES. So a
// subscriber may get fires once more, with their ids, and none is passed over.
func (in *Inboxes) makeAgain(ctx context.Context, r job.Route, want jetstream.ConsumerConfig, isNew bool, why string) error {
	if err := in.checkFolder(ctx, r.RouteKey); err != nil {
		return err
	}
	stream, err := in.JS.Stream(ctx, in.cfg.Names.FiresStream())
	if err != nil {
		return journal.Unavailable("couldn't make the inbox of the route again", err)
	}
	info := stream.CachedInfo()
	in.Floors.Begin(info.Created)
	from := "the next fire"
	if !isNew {
		from = "the start of " + in.cfg.Names.FiresStream()
		want.DeliverPolicy = jetstream.DeliverAllPolicy
		if seen, ok := in.Floors.Seen(ctx, want.Durable); ok && seen.Acked > 0 && seen.Acked <= info.State.LastSeq {
			want.DeliverPolicy, want.OptStartSeq = jetstream.DeliverByStartSequencePolicy, seen.Acked+1
			from = "the last ack floor that was seen"
		}
	}
	err = stream.DeleteConsumer(ctx, want.Durable)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return journal.Unavailable("couldn't make the inbox of the route again", err)
	}
	c, err := stream.CreateConsumer(ctx, want)
	if errors.Is(err, jetstream.ErrConsumerExists) {
		return nil // another node was faster
	}
	if err != nil {
		return journal.Unavailable("couldn't make the inbox of the route again", err)
	}
	made := c.CachedInfo()
	in.Saw(made)
	in.Stirred(r.RouteKey)
	in.cfg.Metrics.Mended("consumer")
	in.cfg.Log.Warn("the consumer of a route was made again; its fires from there on are handed out, those that were acked since among them",
		"db", r.DB, "route", r.ID, "consumer", want.Durable, "why", why, "from", from, "fires", made.NumPending)
	return nil
}

// Saw keeps the ack floor of a consumer.
func (in *Inboxes) Saw(is *jetstream.ConsumerInfo) {
	in.Floors.Note(is.Name, Floor{Acked: is.AckFloor.Stream, Made: is.Created})
}

// madeBefore reports whether a consumer without Belfry's metadata is one that had
// it: then only that was taken away.
func (in *Inboxes) madeBefore(ctx context.Context, is *jetstream.ConsumerInfo) bool {
	seen, ok := in.Floors.Seen(ctx, is.Name)
	return ok && seen.Made.Equal(is.Created)
}

// checkFolder refuses to make an inbox in the folder of another consumer. On another
// disk there is nothing to look for.
func (in *Inboxes) checkFolder(ctx context.Context, k job.RouteKey) error {
	if !in.cfg.IgnoresCase {
		return nil
	}
	stream, err := in.JS.Stream(ctx, in.cfg.Names.FiresStream())
	if err != nil {
		return journal.Unavailable("couldn't look at the inboxes", err)
	}
	mine := wire.InboxConsumer(k)
	others := stream.ConsumerNames(ctx)
	taken := ""
	for name := range others.Name() { // to its end, or it goes on by itself
		if name != mine && strings.EqualFold(name, mine) {
			taken = name
		}
	}
	if err := others.Err(); err != nil {
		return journal.Unavailable("couldn't look at the inboxes", err)
	}
	if taken == "" {
		return nil
	}
	return fmt.Errorf("%w: route %q in db %q would share the folder of the consumer %s; take a name that differs in more than case",
		job.ErrCaseOnly, k.ID, k.DB, taken)
}
