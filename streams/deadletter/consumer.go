package deadletter

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/routes"
	"belfry/streams/wire"
)

// Consumer creates or mends the consumer that reads advisories and returns it. A consumer
// that was removed goes on where it was last seen.
func (a *Advisories) Consumer(ctx context.Context) (jetstream.Consumer, error) {
	want := jetstream.ConsumerConfig{Durable: wire.BuryConsumer, AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second, MaxDeliver: -1}
	c, err := a.js.Consumer(ctx, a.w.Names.AdvisoryStream(), wire.BuryConsumer)
	if err == nil {
		wrong := routes.InboxDifferences(c.CachedInfo().Config, want)
		if len(wrong) == 0 {
			return c, nil
		}
		a.cfg.Log.Warn("the consumer of a stream was not as it should be; it is again", "stream", a.w.Names.AdvisoryStream(), "consumer", wire.BuryConsumer, "settings", routes.NamesOf(wrong))
		a.inboxes.Floors.Note(routes.BuryFloor, routes.Floor{Acked: c.CachedInfo().AckFloor.Stream, Made: c.CachedInfo().Created})
		if err := a.js.DeleteConsumer(ctx, a.w.Names.AdvisoryStream(), wire.BuryConsumer); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil, err
		}
	} else if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, err
	}
	stream, err := a.js.Stream(ctx, a.w.Names.AdvisoryStream())
	if err != nil {
		return nil, err
	}
	if seen, ok := a.inboxes.Floors.Seen(ctx, routes.BuryFloor); ok && seen.Acked > 0 && seen.Acked <= stream.CachedInfo().State.LastSeq {
		want.DeliverPolicy, want.OptStartSeq = jetstream.DeliverByStartSequencePolicy, seen.Acked+1
	}
	return stream.CreateConsumer(ctx, want)
}
