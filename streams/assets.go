package streams

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// assets are the streams that Belfry keeps its state in, those of its buckets
// among them. A start makes what is missing of them, and the audit compares each
// with what stands here; see assetFields for what an operator may change. The jobs
// buckets are among them once their number is known.
func (s *Store) assets() []jetstream.StreamConfig {
	all := append(bucketAssets(), s.streamAssets()...)
	for p := range s.partitions {
		all = append(all, jobsConfig(p))
	}
	for i := range all {
		all[i] = s.own(all[i])
	}
	return all
}

// own adds what all assets have alike.
func (s *Store) own(cfg jetstream.StreamConfig) jetstream.StreamConfig {
	cfg.Storage = jetstream.FileStorage
	cfg.Replicas = s.cfg.Replicas
	cfg.Metadata = map[string]string{metaAsset: cfg.Name}
	return cfg
}

// bucketAssets are the buckets, but for those of the jobs. Their number is known
// before the number of partitions, which stands in one of them.
func bucketAssets() []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		bucketConfig(belfryBucket, "Belfry: what was fixed at first start, and who is at work", 0, presenceTTL),
		bucketConfig(gatesBucket, "Belfry: what holds routes back for a while", gatesTTL, 0),
		bucketConfig(routesBucket, "Belfry: the routes", 0, deletedFor),
		bucketConfig(tokensBucket, "Belfry: who may use the API", 0, 0),
	}
}

// bucketConfig is a bucket as the KV client makes one.
func bucketConfig(bucket, description string, ttl, markerTTL time.Duration) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:                   bucketStream(bucket),
		Description:            description,
		Subjects:               []string{bucketPrefix(bucket) + ">"},
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
			Name:               FiresStream,
			Description:        "Belfry: one message per fire",
			Subjects:           []string{firesSubjects, fenceSubjects},
			MaxAge:             s.cfg.FiresMaxAge,
			Duplicates:         noDuplicates,
			AllowRollup:        true,
			AllowDirect:        true,
			AllowMsgTTL:        true,
			AllowAtomicPublish: true,
		},
		{
			Name:        DeadStream,
			Description: "Belfry: what could not be delivered, with the reason",
			Subjects:    []string{deadSubjects},
			MaxAge:      s.cfg.DeadMaxAge,
			Duplicates:  min(deadRepeats, s.cfg.DeadMaxAge),
			AllowDirect: true,
		},
		{
			Name:               attemptsStream,
			Description:        "Belfry: what became of the tries of jobs",
			Subjects:           []string{attemptsSubjects},
			MaxAge:             s.cfg.HistoryTTL + attemptsExtra,
			MaxMsgsPerSubject:  attemptsPerJob,
			Duplicates:         noDuplicates,
			AllowDirect:        true,
			AllowAtomicPublish: true,
		},
		{
			Name:        advisoryStream,
			Description: "Belfry: deliveries that the subscribers of NATS routes exhausted or refused",
			Subjects:    []string{unackedSubjects, refusedSubjects},
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
func jobsConfig(partition int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               jobsStream(partition),
		Description:        "Belfry: every job on its one key, in every state",
		Subjects:           []string{jobsPrefix(partition) + ">"},
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
