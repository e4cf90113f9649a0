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

// NewInbox and HadInbox say whether a route had an inbox before. A new inbox begins with
// the next fire. An inbox that is gone was removed by somebody else: it is recreated
// where it was, so that no fire is skipped.
const (
	NewInbox = true
	HadInbox = false
)

// Ensure creates the inbox of a route unless it exists, and updates it to the route's
// policy. An inbox left by a deleted route of the same type is taken over with its fires.
// If the old route had another type, the error is [job.ErrRouteClearing]. If another
// consumer uses the inbox's folder, it is [job.ErrCaseOnly].
func (in *Inboxes) Ensure(ctx context.Context, r job.Route, isNew bool) error {
	return in.Mend(ctx, r, isNew, slog.LevelInfo)
}

// Mend is Ensure that logs at the given level.
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
	if is.Config.PauseUntil != nil { // an update does not end a pause
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

// makeAgain recreates a consumer that somebody else removed or replaced: behind its last
// known ack floor, or from the start of FIRES if none is known. So a subscriber may get
// some fires once more, with the same ids, and none is skipped.
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

// Saw records the ack floor of a consumer.
func (in *Inboxes) Saw(is *jetstream.ConsumerInfo) {
	in.Floors.Note(is.Name, Floor{Acked: is.AckFloor.Stream, Made: is.Created})
}

// madeBefore reports whether a consumer without Belfry's metadata is one that had it:
// then only the metadata was removed.
func (in *Inboxes) madeBefore(ctx context.Context, is *jetstream.ConsumerInfo) bool {
	seen, ok := in.Floors.Seen(ctx, is.Name)
	return ok && seen.Made.Equal(is.Created)
}

// checkFolder refuses to create an inbox in the folder of another consumer. On a disk
// that distinguishes case there is nothing to check.
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
	for name := range others.Name() { // read to the end, or the lister keeps running
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
