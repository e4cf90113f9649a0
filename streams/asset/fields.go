package asset

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/wire"
)

// Field is one setting of a stream that Belfry insists on. All other settings are the
// operator's: replicas, placement, max_bytes, compression, republish, further metadata,
// the max_age of the bucket gates, and flags that allow more than Belfry needs.
type Field struct {
	Name    string // as "nats stream info --json" prints it
	why     string // what goes wrong otherwise, for docs/operations.md
	differs func(is, want *jetstream.StreamConfig) bool
	Show    func(*jetstream.StreamConfig) string
	Set     func(to, from *jetstream.StreamConfig) // restores it
}

// own compares the exact value of a setting.
func own[T comparable](name, why string, at func(*jetstream.StreamConfig) *T) Field {
	return Field{
		Name: name, why: why,
		differs: func(is, want *jetstream.StreamConfig) bool { return *at(is) != *at(want) },
		Show:    func(c *jetstream.StreamConfig) string { return fmt.Sprint(*at(c)) },
		Set:     func(to, from *jetstream.StreamConfig) { *at(to) = *at(from) },
	}
}

// limit compares a limit; all values of 0 and below mean no limit.
func limit[T int | int32 | int64](name, why string, at func(*jetstream.StreamConfig) *T) Field {
	f := own(name, why, at)
	f.differs = func(is, want *jetstream.StreamConfig) bool { return max(*at(is), 0) != max(*at(want), 0) }
	return f
}

// onlyWhere compares a setting only in some of the streams.
func (f Field) onlyWhere(applies func(want *jetstream.StreamConfig) bool) Field {
	differs := f.differs
	f.differs = func(is, want *jetstream.StreamConfig) bool { return applies(want) && differs(is, want) }
	return f
}

// fields are all settings that Belfry insists on, in the order of the documents.
var fields = []Field{
	{
		Name: "subjects", why: "writes are not stored",
		differs: func(is, want *jetstream.StreamConfig) bool {
			return !slices.Equal(slices.Sorted(slices.Values(is.Subjects)), slices.Sorted(slices.Values(want.Subjects)))
		},
		Show: func(c *jetstream.StreamConfig) string { return strings.Join(c.Subjects, " ") },
		Set:  func(to, from *jetstream.StreamConfig) { to.Subjects = from.Subjects },
	},
	own("retention", "what nobody reads now is dropped", func(c *jetstream.StreamConfig) *jetstream.RetentionPolicy { return &c.Retention }),
	own("storage", "a restart of the server loses all", func(c *jetstream.StreamConfig) *jetstream.StorageType { return &c.Storage }),
	own("persist_mode", "a power failure loses what was answered with 200", func(c *jetstream.StreamConfig) *jetstream.PersistModeType { return &c.PersistMode }),
	limit("max_msgs", "the oldest are dropped", func(c *jetstream.StreamConfig) *int64 { return &c.MaxMsgs }),
	limit("max_msgs_per_subject", "old states of jobs are shown, or only the last fire of a route is kept", func(c *jetstream.StreamConfig) *int64 { return &c.MaxMsgsPerSubject }),
	limit("max_msg_size", "what is larger is refused", func(c *jetstream.StreamConfig) *int32 { return &c.MaxMsgSize }),
	limit("max_consumers", "nobody can follow the stream; a limit of `FIRES` stays, since the account may allow no more", func(c *jetstream.StreamConfig) *int { return &c.MaxConsumers }).
		onlyWhere(func(want *jetstream.StreamConfig) bool { return want.MaxConsumers <= 0 }), // an account may allow fewer
	own("max_age", "jobs, routes or tokens vanish, or fires and letters live as long as no flag says",
		func(c *jetstream.StreamConfig) *time.Duration { return &c.MaxAge }).
		onlyWhere(func(want *jetstream.StreamConfig) bool { return !wire.IsGates(want.Name) }),
	own("discard", "a full stream drops old records in place of refusing new ones", func(c *jetstream.StreamConfig) *jetstream.DiscardPolicy { return &c.Discard }),
	own("discard_new_per_subject", "no record can be changed", func(c *jetstream.StreamConfig) *bool { return &c.DiscardNewPerSubject }),
	own("duplicate_window", "repeats of letters are stored twice, or a start takes long", func(c *jetstream.StreamConfig) *time.Duration { return &c.Duplicates }),
	own("no_ack", "no write is answered", func(c *jetstream.StreamConfig) *bool { return &c.NoAck }),
	own("deny_delete", "letters cannot be redriven or discarded, or records can be deleted one by one", func(c *jetstream.StreamConfig) *bool { return &c.DenyDelete }).
		onlyWhere(func(want *jetstream.StreamConfig) bool { return want.DenyDelete || wire.IsDead(want.Name) }),
	own("allow_rollup_hdrs", "no partition can be owned, and nothing be deleted", func(c *jetstream.StreamConfig) *bool { return &c.AllowRollup }).
		onlyWhere(func(want *jetstream.StreamConfig) bool { return want.AllowRollup }),
	own("allow_direct", "jobs, letters and attempts cannot be read", func(c *jetstream.StreamConfig) *bool { return &c.AllowDirect }).
		onlyWhere(func(want *jetstream.StreamConfig) bool { return want.AllowDirect }),
	own("allow_msg_ttl", "final states and leases cannot be written", func(c *jetstream.StreamConfig) *bool { return &c.AllowMsgTTL }).
		onlyWhere(func(want *jetstream.StreamConfig) bool { return want.AllowMsgTTL }),
	own("subject_delete_marker_ttl", "an expired lease is noticed late", func(c *jetstream.StreamConfig) *time.Duration { return &c.SubjectDeleteMarkerTTL }),
	own("allow_atomic", "writes are not grouped", func(c *jetstream.StreamConfig) *bool { return &c.AllowAtomicPublish }).
		onlyWhere(func(want *jetstream.StreamConfig) bool { return want.AllowAtomicPublish }),
	own("allow_msg_counter", "every write is refused", func(c *jetstream.StreamConfig) *bool { return &c.AllowMsgCounter }),
	own("consumer_limits", "consumers vanish, or hand out less", func(c *jetstream.StreamConfig) *jetstream.StreamConsumerLimits { return &c.ConsumerLimits }),
	{
		Name: "mirror", why: "no write is stored",
		differs: func(is, _ *jetstream.StreamConfig) bool { return is.Mirror != nil },
		Show:    func(c *jetstream.StreamConfig) string { return sourceNames(c.Mirror) },
		Set:     func(to, _ *jetstream.StreamConfig) { to.Mirror, to.MirrorDirect = nil, false },
	},
	{
		Name: "sources", why: "the messages of another stream come in",
		differs: func(is, _ *jetstream.StreamConfig) bool { return len(is.Sources) > 0 },
		Show:    func(c *jetstream.StreamConfig) string { return sourceNames(c.Sources...) },
		Set:     func(to, _ *jetstream.StreamConfig) { to.Sources = nil },
	},
	{
		Name: "subject_transform", why: "writes are stored under other subjects",
		differs: func(is, _ *jetstream.StreamConfig) bool { return is.SubjectTransform != nil },
		Show: func(c *jetstream.StreamConfig) string {
			if c.SubjectTransform == nil {
				return ""
			}
			return c.SubjectTransform.Source + " " + c.SubjectTransform.Destination
		},
		Set: func(to, _ *jetstream.StreamConfig) { to.SubjectTransform = nil },
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

// Differences returns the fields in which a stream differs from what it should be.
func Differences(is, want jetstream.StreamConfig) []Field {
	if age := is.MaxAge; wire.IsGates(want.Name) && age > 0 {
		want.MaxAge = age // the operator's; the window may not be longer
		want.Duplicates = min(want.Duplicates, age)
	}
	want.Discard = DiscardOf(is, want)
	var all []Field
	for _, f := range fields {
		if f.differs(&is, &want) {
			all = append(all, f)
		}
	}
	return all
}
