package routes

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams/wire"
)

// inboxField is one setting of a route's consumer that Belfry insists on. All others are
// the operator's: replicas, the description, the sampling of acks, further metadata, and
// max_ack_pending and max_waiting of NATS routes.
type inboxField struct {
	Name string // as "nats consumer info --json" prints it
	// remade says that the consumer must be recreated: the server cannot change the
	// setting, or with the wrong setting it handed out fires that the route does not get.
	remade  bool
	differs func(is, want *jetstream.ConsumerConfig) bool
	set     func(to, from *jetstream.ConsumerConfig)
}

func consumerField[T comparable](name string, at func(*jetstream.ConsumerConfig) *T) inboxField {
	return inboxField{
		Name:    name,
		differs: func(is, want *jetstream.ConsumerConfig) bool { return *at(is) != *at(want) },
		set:     func(to, from *jetstream.ConsumerConfig) { *at(to) = *at(from) },
	}
}

func (f inboxField) makesAgain() inboxField {
	f.remade = true
	return f
}

var inboxFields = []inboxField{
	{
		Name: "filter_subject", remade: true,
		differs: func(is, want *jetstream.ConsumerConfig) bool {
			return is.FilterSubject != want.FilterSubject || len(is.FilterSubjects) > 0
		},
	},
	consumerField("ack_policy", func(c *jetstream.ConsumerConfig) *jetstream.AckPolicy { return &c.AckPolicy }).makesAgain(),
	consumerField("replay_policy", func(c *jetstream.ConsumerConfig) *jetstream.ReplayPolicy { return &c.ReplayPolicy }).makesAgain(),
	consumerField("deliver_subject", func(c *jetstream.ConsumerConfig) *string { return &c.DeliverSubject }).makesAgain(),
	consumerField("headers_only", func(c *jetstream.ConsumerConfig) *bool { return &c.HeadersOnly }),
	consumerField("ack_wait", func(c *jetstream.ConsumerConfig) *time.Duration { return &c.AckWait }),
	consumerField("max_deliver", func(c *jetstream.ConsumerConfig) *int { return &c.MaxDeliver }),
	{
		Name:    "backoff",
		differs: func(is, want *jetstream.ConsumerConfig) bool { return !slices.Equal(is.BackOff, want.BackOff) },
		set:     func(to, from *jetstream.ConsumerConfig) { to.BackOff = from.BackOff },
	},
	{
		Name: "max_ack_pending",
		differs: func(is, want *jetstream.ConsumerConfig) bool {
			return want.MaxAckPending != 0 && is.MaxAckPending != want.MaxAckPending
		},
		set: func(to, from *jetstream.ConsumerConfig) { to.MaxAckPending = from.MaxAckPending },
	},
	consumerField("max_batch", func(c *jetstream.ConsumerConfig) *int { return &c.MaxRequestBatch }),
	{
		Name: "max_expires",
		differs: func(is, want *jetstream.ConsumerConfig) bool {
			if want.MaxRequestExpires == 0 && want.Metadata[wire.MetadataType] == string(job.NATS) {
				return false // left to the operator; see MaxPullWait
			}
			return is.MaxRequestExpires != want.MaxRequestExpires
		},
		set: func(to, from *jetstream.ConsumerConfig) { to.MaxRequestExpires = from.MaxRequestExpires },
	},
	consumerField("max_bytes", func(c *jetstream.ConsumerConfig) *int { return &c.MaxRequestMaxBytes }),
	consumerField("rate_limit_bps", func(c *jetstream.ConsumerConfig) *uint64 { return &c.RateLimit }),
	consumerField("inactive_threshold", func(c *jetstream.ConsumerConfig) *time.Duration { return &c.InactiveThreshold }),
	{
		Name:    "priority_groups",
		differs: func(is, _ *jetstream.ConsumerConfig) bool { return len(is.PriorityGroups) > 0 },
		set: func(to, _ *jetstream.ConsumerConfig) {
			to.PriorityGroups, to.PriorityPolicy, to.PinnedTTL = nil, jetstream.PriorityPolicyNone, 0
		},
	},
	{
		Name: "pause_until",
		differs: func(is, _ *jetstream.ConsumerConfig) bool {
			return is.PauseUntil != nil && is.PauseUntil.After(time.Now())
		},
		set: func(to, _ *jetstream.ConsumerConfig) { to.PauseUntil = nil },
	},
	{
		Name: "metadata",
		differs: func(is, want *jetstream.ConsumerConfig) bool {
			return slices.ContainsFunc([]string{wire.MetadataDB, wire.MetadataRoute, wire.MetadataType}, func(key string) bool { return is.Metadata[key] != want.Metadata[key] })
		},
		set: func(to, from *jetstream.ConsumerConfig) {
			all := maps.Clone(to.Metadata)
			if all == nil {
				all = map[string]string{}
			}
			maps.Copy(all, from.Metadata)
			to.Metadata = all
		},
	},
}

// InboxDifferences returns the settings of a route's consumer that are wrong.
func InboxDifferences(is, want jetstream.ConsumerConfig) []inboxField {
	var all []inboxField
	for _, f := range inboxFields {
		if f.differs(&is, &want) {
			all = append(all, f)
		}
	}
	return all
}

// Fits reports whether a consumer has the settings of the route's inbox.
func (in *Inboxes) Fits(is jetstream.ConsumerConfig, r job.Route) bool {
	return is.Metadata[wire.MetadataType] == string(r.Type) && len(InboxDifferences(is, in.config(r))) == 0
}

func NamesOf(fields []inboxField) string {
	var names []string
	for _, f := range fields {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}
