package asset

import (
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/jobs"
	"belfry/streams/journal"
	"belfry/streams/routes"
	"belfry/streams/wire"
)

// Set has the parameters of a store's streams.
type Set struct {
	Names wire.Names

	HistoryTTL  time.Duration // for the final state of a job
	FiresMaxAge time.Duration
	DeadMaxAge  time.Duration
	PresenceTTL time.Duration // for the keys of a dead node in the bucket belfry

	MaxBytes int64 // for all streams together; 0 is no bound
}

// All returns the streams that Belfry keeps its state in, including those of its buckets,
// in the order in which they are created. A start creates the missing ones, the manifest
// names them, and the audit compares each with its definition here; see fields for what
// an operator may change.
func (s Set) All(partitions int) []jetstream.StreamConfig {
	all := s.Fixed()
	for p := range partitions {
		all = append(all, s.Jobs(p))
	}
	return all
}

// Fixed returns the streams that exist once, however many partitions there are. The first
// of them has the number of partitions.
func (s Set) Fixed() []jetstream.StreamConfig {
	all := append(s.buckets(), s.streams()...)
	for i := range all {
		all[i] = complete(all[i])
	}
	return all
}

// Jobs returns the bucket of a partition's jobs.
func (s Set) Jobs(partition int) jetstream.StreamConfig {
	return complete(jobsConfig(s.Names, partition))
}

// Tokens returns the bucket of the tokens.
func (s Set) Tokens() jetstream.StreamConfig {
	return complete(tokensConfig(s.Names))
}

// complete adds the settings that all streams share. The number of copies is decided when
// a stream is created, and later.
func complete(cfg jetstream.StreamConfig) jetstream.StreamConfig {
	cfg.Storage = jetstream.FileStorage
	cfg.Metadata = map[string]string{wire.MetadataAsset: cfg.Name}
	return cfg
}

// StreamNames returns the names of the streams, in the order in which they are created.
func (s Set) StreamNames(partitions int) []string {
	var names []string
	for _, cfg := range s.All(partitions) {
		names = append(names, cfg.Name)
	}
	return names
}

// Has reports whether a name is a Belfry stream's.
func (s Set) Has(name string) bool {
	_, jobs := s.Names.ParseJobsStream(name)
	return jobs || slices.Contains(s.StreamNames(0), name)
}

// IsBelfrys reports whether Belfry created a stream: its metadata says so or, for older
// versions, its description.
func IsBelfrys(is jetstream.StreamConfig) bool {
	return is.Metadata[wire.MetadataAsset] == is.Name || strings.HasPrefix(is.Description, wire.OurDescription)
}

// buckets returns the buckets, except those of the jobs.
func (s Set) buckets() []jetstream.StreamConfig {
	n := s.Names
	return []jetstream.StreamConfig{
		bucketConfig(n.BelfryBucket(), "what was fixed at first start, and who is at work", 0, s.PresenceTTL),
		bucketConfig(n.GatesBucket(), "what holds routes back for a while", gatesTTL, 0),
		bucketConfig(n.RoutesBucket(), "the routes", 0, routes.DeletedFor),
		tokensConfig(n),
	}
}

func tokensConfig(n wire.Names) jetstream.StreamConfig {
	return bucketConfig(n.TokensBucket(), "who may use the API", 0, 0)
}

// bucketConfig returns the stream of a bucket as the KV client creates it.
func bucketConfig(bucket, description string, ttl, markerTTL time.Duration) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:                   wire.BucketStream(bucket),
		Description:            wire.OurDescription + description,
		Subjects:               []string{wire.BucketPrefix(bucket) + ">"},
		MaxMsgsPerSubject:      1,
		MaxAge:                 ttl,
		Discard:                jetstream.DiscardNew,
		Duplicates:             bucketDuplicates,
		DenyDelete:             true,
		AllowRollup:            true,
		AllowDirect:            true,
		AllowMsgTTL:            markerTTL > 0,
		SubjectDeleteMarkerTTL: markerTTL,
	}
}

// bucketDuplicates is the window for message ids that the KV client gives a bucket.
const bucketDuplicates = 2 * time.Minute

// gatesTTL is how long a gate's key is kept without being written again: longer than it
// holds a route back.
const gatesTTL = time.Hour

// streams returns the streams that are not buckets.
func (s Set) streams() []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		{
			Name:               s.Names.FiresStream(),
			Description:        wire.OurDescription + "one message per fire",
			Subjects:           []string{s.Names.FiresSubjects(), s.Names.FenceSubjects()},
			MaxAge:             s.FiresMaxAge,
			Duplicates:         noDuplicates,
			MaxConsumers:       journal.MaxRoutes,
			AllowRollup:        true,
			AllowDirect:        true,
			AllowMsgTTL:        true,
			AllowAtomicPublish: true,
		},
		{
			Name:        s.Names.DeadStream(),
			Description: wire.OurDescription + "what could not be delivered, with the reason",
			Subjects:    []string{s.Names.DeadSubjects()},
			MaxAge:      s.DeadMaxAge,
			Duplicates:  min(jobs.DeadRepeats, s.DeadMaxAge),
			AllowDirect: true,
		},
		{
			Name:               s.Names.AttemptsStream(),
			Description:        wire.OurDescription + "what became of the tries of jobs",
			Subjects:           []string{s.Names.AttemptsSubjects()},
			MaxAge:             s.HistoryTTL + jobs.AttemptsExtra,
			MaxMsgsPerSubject:  jobs.AttemptsPerJob,
			Duplicates:         noDuplicates,
			AllowDirect:        true,
			AllowAtomicPublish: true,
		},
		{
			Name:        s.Names.AdvisoryStream(),
			Description: wire.OurDescription + "deliveries that the subscribers of NATS routes exhausted or refused",
			Subjects:    []string{s.Names.UnackedSubjects(), s.Names.RefusedSubjects()},
			MaxAge:      s.FiresMaxAge,
			Duplicates:  min(advisoryDuplicates, s.FiresMaxAge),
		},
	}
}

// advisoryDuplicates is JetStream's default, since advisories have no message ids.
const advisoryDuplicates = 2 * time.Minute

// noDuplicates is the shortest window for message ids that JetStream accepts. A stream
// whose messages have no ids needs no window, and a start reads each message within the
// window once more.
const noDuplicates = 100 * time.Millisecond

// jobsConfig returns the stream of a jobs bucket. It is built by hand: a bucket created
// by the KV client lacks the message TTLs and atomic batches that it needs.
func jobsConfig(n wire.Names, partition int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               n.JobsStream(partition),
		Description:        wire.OurDescription + "every job on its one key, in every state",
		Subjects:           []string{n.JobsPrefix(partition) + ">"},
		MaxMsgsPerSubject:  1,
		Discard:            jetstream.DiscardNew,
		Duplicates:         noDuplicates,
		DenyDelete:         true,
		AllowRollup:        true,
		AllowDirect:        true,
		AllowMsgTTL:        true,
		AllowAtomicPublish: true,
	}
}
