package streams

import (
	"context"

	"belfry/streams/routes"
)

// These methods are for the tests of changes by others.

// Looked reports whether the audit has seen that the stream is Belfry's.
func (s *Store) Looked(stream string) bool {
	return s.audit.Looked(stream)
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
