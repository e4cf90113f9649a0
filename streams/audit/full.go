package audit

import (
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/asset"
	"belfry/streams/wire"
)

// unlessFull returns the fields to mend. For a nearly full stream it leaves out the field
// that makes the stream drop its oldest messages, and logs that once: mended, the stream
// would refuse everything, and an operator may have had it like that for long. FIRES gets
// room by itself.
func (m *Mender) unlessFull(is, want jetstream.StreamConfig, bytes uint64, wrong []asset.Field) []asset.Field {
	if is.Discard != jetstream.DiscardOld || !wire.IsFires(want.Name) && !wire.IsDead(want.Name) || !asset.NearlyFull(is.MaxBytes, bytes, asset.RoomHigh) {
		return wrong
	}
	if _, told := m.ring.LoadOrStore(want.Name, true); !told {
		m.log.Warn("a stream that is nearly full drops its oldest messages, also those that nobody has read; it refuses new ones in place of that once it has room",
			"stream", want.Name, "bytes", bytes, "max_bytes", is.MaxBytes, "do", "raise max_bytes of the stream")
	}
	return slices.DeleteFunc(wrong, func(f asset.Field) bool { return f.Name == "discard" })
}
