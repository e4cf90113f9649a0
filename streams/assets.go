package streams

import (
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/jobs"
	"belfry/streams/journal"
	"belfry/streams/routes"
	"belfry/streams/wire"
)

// assets are the streams that Belfry keeps its state in, those of its buckets
// among them, in the order in which they are made. A start makes what is missing of
// them, the manifest names them, and the audit compares each with what stands here;
// see assetFields for what an operator may change.
func (s *Store) assets(partitions int) []jetstream.StreamConfig {
	all := s.fixedAssets()
	for p := range partitions {
		all = append(all, asset(jobsConfig(s.cfg.Names, p)))
	}
	return all
}

// fixedAssets are those of which there is one, however many partitions there are:
// how many there are stands in the first of them.
func (s *Store) fixedAssets() []jetstream.StreamConfig {
	all := append(bucketAssets(s.cfg.Names), s.streamAssets()...)
	for i := range all {
		all[i] = asset(all[i])
	}
	return all
}

// asset adds what all assets have alike. How many copies there are is decided when
// one is made, and later; see copies.
func asset(cfg jetstream.StreamConfig) jetstream.StreamConfig {
	cfg.Storage = jetstream.FileStorage
	cfg.Metadata = map[string]string{wire.MetadataAsset: cfg.Name}
	return cfg
}

// assetNames names the assets, in the order in which they are made.
func (s *Store) assetNames(partitions int) []string {
	var names []string
	for _, cfg := range s.assets(partitions) {
		names = append(names, cfg.Name)
	}
	return names
}

// isAsset reports whether a stream has a name of Belfry's.
func (s *Store) isAsset(name string) bool {
	_, jobs := s.cfg.Names.ParseJobsStream(name)
	return jobs || slices.Contains(s.assetNames(0), name)
}

// IsAsset reports whether a stream has a name of Belfry's.
func IsAsset(n wire.Names, stream string) bool {
	return (&Store{cfg: Config{Names: n}}).isAsset(stream)
}

// bucketAssets are the buckets, but for those of the jobs.
func bucketAssets(n wire.Names) []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		bucketConfig(n.BelfryBucket(), "what was fixed at first start, and who is at work", 0, presenceTTL),
		bucketConfig(n.GatesBucket(), "what holds routes back for a while", gatesTTL, 0),
		bucketConfig(n.RoutesBucket(), "the routes", 0, routes.DeletedFor),
		tokensConfig(n),
	}
}

func tokensConfig(n wire.Names) jetstream.StreamConfig {
	return bucketConfig(n.TokensBucket(), "who may use the API", 0, 0)
}

// bucketConfig is a bucket as the KV client makes one.
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

// gatesTTL is how long what holds a route back is kept without being written
// again: longer than it holds anything back.
const gatesTTL = time.Hour

// streamAssets are the streams that are no buckets.
func (s *Store) streamAssets() []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		{
			Name:               s.cfg.Names.FiresStream(),
			Description:        wire.OurDescription + "one message per fire",
			Subjects:           []string{s.cfg.Names.FiresSubjects(), s.cfg.Names.FenceSubjects()},
			MaxAge:             s.cfg.FiresMaxAge,
			Duplicates:         noDuplicates,
			MaxConsumers:       journal.MaxRoutes,
			AllowRollup:        true,
			AllowDirect:        true,
			AllowMsgTTL:        true,
			AllowAtomicPublish: true,
		},
		{
			Name:        s.cfg.Names.DeadStream(),
			Description: wire.OurDescription + "what could not be delivered, with the reason",
			Subjects:    []string{s.cfg.Names.DeadSubjects()},
			MaxAge:      s.cfg.DeadMaxAge,
			Duplicates:  min(jobs.DeadRepeats, s.cfg.DeadMaxAge),
			AllowDirect: true,
		},
		{
			Name:               s.cfg.Names.AttemptsStream(),
			Description:        wire.OurDescription + "what became of the tries of jobs",
			Subjects:           []string{s.cfg.Names.AttemptsSubjects()},
			MaxAge:             s.cfg.HistoryTTL + jobs.AttemptsExtra,
			MaxMsgsPerSubject:  jobs.AttemptsPerJob,
			Duplicates:         noDuplicates,
			AllowDirect:        true,
			AllowAtomicPublish: true,
		},
		{
			Name:        s.cfg.Names.AdvisoryStream(),
			Description: wire.OurDescription + "deliveries that the subscribers of NATS routes exhausted or refused",
			Subjects:    []string{s.cfg.Names.UnackedSubjects(), s.cfg.Names.RefusedSubjects()},
			MaxAge:      s.cfg.FiresMaxAge,
			Duplicates:  min(advisoryDuplicates, s.cfg.FiresMaxAge),
		},
	}
}

// advisoryDuplicates is JetStream's default, since advisories have no message ids.
const advisoryDuplicates = 2 * time.Minute

// noDuplicates is the shortest window for message ids that JetStream takes. A
// stream that has none of them needs no window, and a start reads each message
// in it once more.
const noDuplicates = 100 * time.Millisecond

// jobsConfig is that of a jobs bucket. It is made by hand: a bucket made by
// the KV client lacks the message TTLs and atomic batches that it needs.
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
