package streams

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/wire"
)

// assetField is one setting of a stream that must be as Belfry has it. All other
// settings are the operator's: replicas, placement, max_bytes, compression,
// republish, further metadata, the max_age of the bucket gates, and flags that
// allow more than Belfry needs.
type assetField struct {
	name    string // as "nats stream info --json" has it
	why     string // what goes wrong otherwise, for docs/operations.md
	differs func(is, want *jetstream.StreamConfig) bool
	show    func(*jetstream.StreamConfig) string
	set     func(to, from *jetstream.StreamConfig)
}

// ownField compares a setting as it is.
func ownField[T comparable](name, why string, at func(*jetstream.StreamConfig) *T) assetField {
	return assetField{
		name: name, why: why,
		differs: func(is, want *jetstream.StreamConfig) bool { return *at(is) != *at(want) },
		show:    func(c *jetstream.StreamConfig) string { return fmt.Sprint(*at(c)) },
		set:     func(to, from *jetstream.StreamConfig) { *at(to) = *at(from) },
	}
}

// limitField compares a limit, of which there is none at 0 and below.
func limitField[T int | int32 | int64](name, why string, at func(*jetstream.StreamConfig) *T) assetField {
	f := ownField(name, why, at)
	f.differs = func(is, want *jetstream.StreamConfig) bool { return max(*at(is), 0) != max(*at(want), 0) }
	return f
}

// onlyWhere compares a setting in some of the streams.
func (f assetField) onlyWhere(applies func(want *jetstream.StreamConfig) bool) assetField {
	differs := f.differs
	f.differs = func(is, want *jetstream.StreamConfig) bool { return applies(want) && differs(is, want) }
	return f
}

// assetFields are all that Belfry insists on, in the order of the documents.
var assetFields = []assetField{
	{
		name: "subjects", why: "writes are not stored",
		differs: func(is, want *jetstream.StreamConfig) bool {
			return !slices.Equal(slices.Sorted(slices.Values(is.Subjects)), slices.Sorted(slices.Values(want.Subjects)))
		},
		show: func(c *jetstream.StreamConfig) string { return strings.Join(c.Subjects, " ") },
		set:  func(to, from *jetstream.StreamConfig) { to.Subjects = from.Subjects },
	},
	ownField("retention", "what nobody reads now is dropped", func(c *jetstream.StreamConfig) *jetstream.RetentionPolicy { return &c.Retention }),
	ownField("storage", "a restart of the server loses all", func(c *jetstream.StreamConfig) *jetstream.StorageType { return &c.Storage }),
	ownField("persist_mode", "a power failure loses what was answered with 200", func(c *jetstream.StreamConfig) *jetstream.PersistModeType { return &c.PersistMode }),
	limitField("max_msgs", "the oldest are dropped", func(c *jetstream.StreamConfig) *int64 { return &c.MaxMsgs }),
	limitField("max_msgs_per_subject", "old states of jobs are shown, or only the last fire of a route is kept", func(c *jetstream.StreamConfig) *int64 { return &c.MaxMsgsPerSubject }),
	limitField("max_msg_size", "what is larger is refused", func(c *jetstream.StreamConfig) *int32 { return &c.MaxMsgSize }),
	limitField("max_consumers", "nobody can follow the stream; a limit of `FIRES` stays, since the account may allow no more", func(c *jetstream.StreamConfig) *int { return &c.MaxConsumers }).
		onlyWhere(func(want *jetstream.StreamConfig) bool { return want.MaxConsumers <= 0 }), // see limitConsumers
	ownField("max_age", "jobs, routes or tokens vanish, or fires and letters live as long as no flag says",
		func(c *jetstream.StreamConfig) *time.Duration { return &c.MaxAge }).
		onlyWhere(func(want *jetstream.StreamConfig) bool { return !wire.IsGates(want.Name) }),
	ownField("discard", "a full stream drops old records in place of refusing new ones", func(c *jetstream.StreamConfig) *jetstream.DiscardPolicy { return &c.Discard }),
	ownField("discard_new_per_subject", "no record can be changed", func(c *jetstream.StreamConfig) *bool { return &c.DiscardNewPerSubject }),
	ownField("duplicate_window", "repeats of letters are stored twice, or a start takes long", func(c *jetstream.StreamConfig) *time.Duration { return &c.Duplicates }),
	ownField("no_ack", "no write is answered", func(c *jetstream.StreamConfig) *bool { return &c.NoAck }),
	ownField("deny_delete", "letters cannot be redriven or discarded, or records can be deleted one by one", func(c *jetstream.StreamConfig) *bool { return &c.DenyDelete }).
		onlyWhere(func(want *jetstream.StreamConfig) bool { return want.DenyDelete || wire.IsDead(want.Name) }),
	ownField("allow_rollup_hdrs", "no partition can be owned, and nothing be deleted", func(c *jetstream.StreamConfig) *bool { return &c.AllowRollup }).
		onlyWhere(func(want *jetstream.StreamConfig) bool { return want.AllowRollup }),
	ownField("allow_direct", "jobs, letters and attempts cannot be read", func(c *jetstream.StreamConfig) *bool { return &c.AllowDirect }).
		onlyWhere(func(want *jetstream.StreamConfig) bool { return want.AllowDirect }),
	ownField("allow_msg_ttl", "final states and leases cannot be written", func(c *jetstream.StreamConfig) *bool { return &c.AllowMsgTTL }).
		onlyWhere(func(want *jetstream.StreamConfig) bool { return want.AllowMsgTTL }),
	ownField("subject_delete_marker_ttl", "an expired lease is noticed late", func(c *jetstream.StreamConfig) *time.Duration { return &c.SubjectDeleteMarkerTTL }),
	ownField("allow_atomic", "writes are not grouped", func(c *jetstream.StreamConfig) *bool { return &c.AllowAtomicPublish }).
		onlyWhere(func(want *jetstream.StreamConfig) bool { return want.AllowAtomicPublish }),
	ownField("allow_msg_counter", "every write is refused", func(c *jetstream.StreamConfig) *bool { return &c.AllowMsgCounter }),
	ownField("consumer_limits", "consumers vanish, or hand out less", func(c *jetstream.StreamConfig) *jetstream.StreamConsumerLimits { return &c.ConsumerLimits }),
	{
		name: "mirror", why: "no write is stored",
		differs: func(is, _ *jetstream.StreamConfig) bool { return is.Mirror != nil },
		show:    func(c *jetstream.StreamConfig) string { return sourceNames(c.Mirror) },
		set:     func(to, _ *jetstream.StreamConfig) { to.Mirror, to.MirrorDirect = nil, false },
	},
	{
		name: "sources", why: "the messages of another stream come in",
		differs: func(is, _ *jetstream.StreamConfig) bool { return len(is.Sources) > 0 },
		show:    func(c *jetstream.StreamConfig) string { return sourceNames(c.Sources...) },
		set:     func(to, _ *jetstream.StreamConfig) { to.Sources = nil },
	},
	{
		name: "subject_transform", why: "writes are stored under other subjects",
		differs: func(is, _ *jetstream.StreamConfig) bool { return is.SubjectTransform != nil },
		show: func(c *jetstream.StreamConfig) string {
			if c.SubjectTransform == nil {
				return ""
			}
			return c.SubjectTransform.Source + " " + c.SubjectTransform.Destination
		},
		set: func(to, _ *jetstream.StreamConfig) { to.SubjectTransform = nil },
	},
}

func sourceNames(all ...*jetstream.StreamSource) string {
	var names []string
	for _, s := range all {
		if s != nil {
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, " ")
}

// differences returns the fields in which a stream is not as it should be.
func differences(is, want jetstream.StreamConfig) []assetField {
	if age := is.MaxAge; wire.IsGates(want.Name) && age > 0 {
		want.MaxAge = age // the operator's; the window may not be longer
		want.Duplicates = min(want.Duplicates, age)
	}
	want.Discard = discardOf(is, want)
	var all []assetField
	for _, f := range assetFields {
		if f.differs(&is, &want) {
			all = append(all, f)
		}
	}
	return all
}
