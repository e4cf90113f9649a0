package streams

import (
	"context"
	"time"

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
	return err == nil && s.firesLast.Load() >= stream.CachedInfo().State.LastSeq
}

// FiresState is what was seen of FIRES, with one partition.
type FiresState struct {
	First, Last, Msgs, Fence uint64
	Written                  int64 // fences
	Unsure                   bool
	Probe, Number            uint64 // where the last probe stands, and its number
}

func (f FiresState) state() firesState {
	return firesState{first: f.First, last: f.Last, msgs: f.Msgs, written: f.Written, unsure: f.Unsure, fences: map[int]uint64{0: f.Fence}}
}

func firesStates(b, n FiresState) (before, now firesState) {
	before, now = b.state(), n.state()
	before.sawProbe(before, b.Probe, b.Number)
	now.sawProbe(before, n.Probe, n.Number)
	return before, now
}

// RemovedFires is how many fires are gone before their time.
func RemovedFires(before, now FiresState, tooOld uint64) int {
	b, n := firesStates(before, now)
	return removedFires(b, n, tooOld)
}

// NewGaps reports whether messages are gone between others.
func NewGaps(before, now FiresState) bool { return newGaps(firesStates(before, now)) }

// TooOld returns what may be gone since it came before a time, after looks at
// minutes since start.
func TooOld(start time.Time, seen map[int]uint64, before, firstTime time.Time) uint64 {
	var a ages
	for m := range len(seen) {
		a.saw(start.Add(time.Duration(m)*time.Minute), seen[m])
	}
	return a.tooOld(before, firesState{firstTime: firstTime})
}
