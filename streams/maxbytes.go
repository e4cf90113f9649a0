package streams

import (
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/wire"
)

// Shares of [Config.MaxBytes], in percent: half is for the jobs, whose partitions
// have equal parts. The rest is for the small streams, with an equal part each.
const (
	jobsShare     = 50
	firesShare    = 25
	deadShare     = 10
	attemptsShare = 10
	smallShare    = 1
)

// MinMaxBytes is the least that all streams together need to be of use: a part for
// a small stream holds some thousand routes.
const MinMaxBytes = 256 << 20

// bounded gives a stream that is made its part of what all may hold. A stream that
// is there keeps what it has, which is the operator's to change.
func (s *Store) bounded(cfg jetstream.StreamConfig) jetstream.StreamConfig {
	if s.cfg.MaxBytes == 0 {
		return cfg
	}
	part := s.cfg.MaxBytes / 100
	_, jobs := s.cfg.Names.ParseJobsStream(cfg.Name)
	switch {
	case jobs:
		cfg.MaxBytes = part * jobsShare / int64(max(s.partitions, 1))
	case cfg.Name == s.cfg.Names.FiresStream():
		cfg.MaxBytes = part * firesShare
	case cfg.Name == s.cfg.Names.DeadStream():
		cfg.MaxBytes = part * deadShare
	case cfg.Name == s.cfg.Names.AttemptsStream():
		cfg.MaxBytes = part * attemptsShare
	default:
		cfg.MaxBytes = part * smallShare
	}
	cfg.Discard = discardOf(cfg, cfg)
	return cfg
}

// discardOf returns what a stream that is full is to do. Without max_bytes that does
// not come about. With them FIRES and DEAD refuse what is new, which /readyz tells,
// as the buckets do: else they would drop fires that nobody has read and letters that
// nobody has seen, without a word. Attempts are history, and the oldest go.
func discardOf(is, want jetstream.StreamConfig) jetstream.DiscardPolicy {
	if is.MaxBytes > 0 && (wire.IsFires(want.Name) || wire.IsDead(want.Name)) {
		return jetstream.DiscardNew
	}
	return want.Discard
}

// unlessFull leaves out of what is to be mended that a stream drops its oldest, while it
// is nearly full, and says so once: from then on it would refuse everything. An
// operator may have had it like that for long. FIRES gets room by itself; see
// [roomMaker].
func (s *Store) unlessFull(is, want jetstream.StreamConfig, bytes uint64, wrong []assetField) []assetField {
	if is.Discard != jetstream.DiscardOld || !wire.IsFires(want.Name) && !wire.IsDead(want.Name) || !nearlyFull(is.MaxBytes, bytes, roomHigh) {
		return wrong
	}
	if _, told := s.audit.ring.LoadOrStore(want.Name, true); !told {
		s.cfg.Log.Warn("a stream that is nearly full drops its oldest messages, also those that nobody has read; it refuses new ones in place of that once it has room",
			"stream", want.Name, "bytes", bytes, "max_bytes", is.MaxBytes, "do", "raise max_bytes of the stream")
	}
	return slices.DeleteFunc(wrong, func(f assetField) bool { return f.name == "discard" })
}
