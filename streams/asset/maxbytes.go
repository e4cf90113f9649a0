package asset

import (
	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/wire"
)

// These are the shares of [Set.MaxBytes], in percent. Half is for the jobs, divided
// equally among the partitions. Each of the small streams gets smallShare.
const (
	jobsShare     = 50
	firesShare    = 25
	deadShare     = 10
	attemptsShare = 10
	smallShare    = 1
)

// MinMaxBytes is the least that all streams together need to work: the part of a small
// stream then holds some thousand routes.
const MinMaxBytes = 256 << 20

// Bounded gives a new stream its part of what all streams may hold. An existing stream
// keeps what it has, which is the operator's to change.
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

// DiscardOf returns what a full stream does. Without max_bytes no stream gets full. With
// max_bytes, FIRES and DEAD refuse new messages, as the buckets do, and /readyz reports
// it. Otherwise they would silently drop fires that nobody has read and letters that
// nobody has seen. Attempts are history, so the oldest are dropped.
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
