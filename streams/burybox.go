package streams

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/routes"
	"belfry/streams/wire"
)

// buryInbox makes the consumer that reads advisories, unless it is there as it
// should be. One that was removed goes on where it was last seen.
func buryInbox(ctx context.Context, js jetstream.JetStream, n wire.Names, in *routes.Inboxes, log *slog.Logger) (jetstream.Consumer, error) {
	want := jetstream.ConsumerConfig{Durable: wire.BuryConsumer, AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second, MaxDeliver: -1}
	c, err := js.Consumer(ctx, n.AdvisoryStream(), wire.BuryConsumer)
	if err == nil {
		wrong := routes.InboxDifferences(c.CachedInfo().Config, want)
		if len(wrong) == 0 {
			return c, nil
		}
		log.Warn("the consumer of a stream was not as it should be; it is again", "stream", n.AdvisoryStream(), "consumer", wire.BuryConsumer, "settings", routes.NamesOf(wrong))
		in.Floors.Note(routes.BuryFloor, routes.Floor{Acked: c.CachedInfo().AckFloor.Stream, Made: c.CachedInfo().Created})
		if err := js.DeleteConsumer(ctx, n.AdvisoryStream(), wire.BuryConsumer); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil, err
		}
	} else if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, err
	}
	stream, err := js.Stream(ctx, n.AdvisoryStream())
	if err != nil {
		return nil, err
	}
	if seen, ok := in.Floors.Seen(ctx, routes.BuryFloor); ok && seen.Acked > 0 && seen.Acked <= stream.CachedInfo().State.LastSeq {
		want.DeliverPolicy, want.OptStartSeq = jetstream.DeliverByStartSequencePolicy, seen.Acked+1
	}
	return stream.CreateConsumer(ctx, want)
}
