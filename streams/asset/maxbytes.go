package asset

import (
	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/wire"
)

// Shares of [Set.MaxBytes], in percent: half is for the jobs, whose partitions
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

// Bounded gives a stream that is made its part of what all may hold. A stream that
// is there keeps what it has, which is the operator's to change.
func (s Set) Bounded(cfg jetstream.StreamConfig, partitions int) jetstream.StreamConfig {
	if s.MaxBytes == 0 {
		return cfg
	}
	part := s.MaxBytes / 100
	_, jobs := s.Names.ParseJobsStream(cfg.Name)
	switch {
	case jobs:
		cfg.MaxBytes = part * jobsShare / int64(max(partitions, 1))
	case cfg.Name == s.Names.FiresStream():
		cfg.MaxBytes = part * firesShare
	case cfg.Name == s.Names.DeadStream():
		cfg.MaxBytes = part * deadShare
	case cfg.Name == s.Names.AttemptsStream():
		cfg.MaxBytes = part * attemptsShare
	default:
		cfg.MaxBytes = part * smallShare
	}
	cfg.Discard = DiscardOf(cfg, cfg)
	return cfg
}

// DiscardOf returns what a stream that is full is to do. Without max_bytes that does
// not come about. With them FIRES and DEAD refuse what is new, which /readyz tells,
// as the buckets do: else they would drop fires that nobody has read and letters that
// nobody has seen, without a word. Attempts are history, and the oldest go.
func DiscardOf(is, want jetstream.StreamConfig) jetstream.DiscardPolicy {
	if is.MaxBytes > 0 && (wire.IsFires(want.Name) || wire.IsDead(want.Name)) {
		return jetstream.DiscardNew
	}
	return want.Discard
}

// RoomHigh is the part of its max_bytes, in percent, at which a stream is nearly full.
const RoomHigh = 75

// NearlyFull reports whether a stream has reached a part of its max_bytes, in percent.
func NearlyFull(maxBytes int64, bytes uint64, percent int64) bool {
	return maxBytes > 0 && bytes >= uint64(maxBytes/100*percent)
}
