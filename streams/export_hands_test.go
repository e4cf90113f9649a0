package streams

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/asset"
	"belfry/streams/routes"
)

// Names for the tests of what other hands do.

// Differences names the settings in which a stream is not as it should be.
func Differences(is, want jetstream.StreamConfig) (names []string) {
	for _, f := range asset.Differences(is, want) {
		names = append(names, f.Name)
	}
	return names
}

// Looked reports whether the audit has seen that the stream is Belfry's.
func (s *Store) Looked(stream string) bool {
	return s.audit.Looked(stream)
}

// InboxDifferences names the settings in which a consumer is not as it should be.
func InboxDifferences(is, want jetstream.ConsumerConfig) (names []string) {
	for _, f := range routes.InboxDifferences(is, want) {
		names = append(names, f.Name)
	}
	return names
}

// KeptFloor returns the ack floor of a consumer that is kept in the bucket belfry.
func (s *Store) KeptFloor(ctx context.Context, consumer string) uint64 {
	kept, err := s.inboxes.Floors.Read(ctx, routes.FloorKeyOf(consumer))
	if err != nil {
		return 0
	}
	return kept.Consumers[consumer].Acked
}

// SawFires reports whether FIRES, as it is now, was looked at.
func (s *Store) SawFires(ctx context.Context) bool {
	stream, err := s.js.Stream(ctx, FiresStream)
	return err == nil && s.fires.Last() >= stream.CachedInfo().State.LastSeq
}
