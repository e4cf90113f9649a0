package streams

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// buckets are those that the KV client can make as they are wanted.
func buckets() []jetstream.KeyValueConfig {
	return []jetstream.KeyValueConfig{
		{
			Bucket:         belfryBucket,
			Description:    ourDescription + "what was fixed at first start, and who is at work",
			LimitMarkerTTL: presenceTTL,
		},
		{
			Bucket:      gatesBucket,
			Description: ourDescription + "what holds routes back for a while",
			TTL:         gatesTTL,
		},
		{
			Bucket:         routesBucket,
			Description:    ourDescription + "the routes",
			LimitMarkerTTL: deletedFor,
		},
		{
			Bucket:      tokensBucket,
			Description: ourDescription + "who may use the API",
		},
	}
}

// gatesTTL is how long what holds a route back is kept without being written
// again: longer than it holds anything back.
const gatesTTL = time.Hour

// ourDescription begins the description of all that Belfry makes.
const ourDescription = "Belfry: "

// streams are all others, the jobs buckets among them.
func (s *Store) streams() []jetstream.StreamConfig {
	all := s.fixedStreams()
	for p := range s.partitions {
		all = append(all, jobsConfig(p))
	}
	return all
}

// fixedStreams are those of which there is one, however many partitions there
// are.
func (s *Store) fixedStreams() []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		{
			Name:               FiresStream,
			Description:        ourDescription + "one message per fire",
			Subjects:           []string{firesSubjects, fenceSubjects},
			MaxAge:             s.cfg.FiresMaxAge,
			Duplicates:         noDuplicates,
			MaxConsumers:       MaxRoutes,
			AllowRollup:        true,
			AllowDirect:        true,
			AllowMsgTTL:        true,
			AllowAtomicPublish: true,
		},
		{
			Name:        DeadStream,
			Description: ourDescription + "what could not be delivered, with the reason",
			Subjects:    []string{deadSubjects},
			MaxAge:      s.cfg.DeadMaxAge,
			Duplicates:  min(deadRepeats, s.cfg.DeadMaxAge),
			AllowDirect: true,
		},
		{
			Name:               attemptsStream,
			Description:        ourDescription + "what became of the tries of jobs",
			Subjects:           []string{attemptsSubjects},
			MaxAge:             s.cfg.HistoryTTL + attemptsExtra,
			MaxMsgsPerSubject:  attemptsPerJob,
			Duplicates:         noDuplicates,
			AllowDirect:        true,
			AllowAtomicPublish: true,
		},
		{
			Name:        advisoryStream,
			Description: ourDescription + "deliveries that the subscribers of NATS routes exhausted or refused",
			Subjects:    []string{unackedSubjects, refusedSubjects},
			MaxAge:      s.cfg.FiresMaxAge,
		},
	}
}

// noDuplicates is the shortest window for message ids that JetStream takes. A
// stream that has none of them needs no window, and a start reads each message
// in it once more.
const noDuplicates = 100 * time.Millisecond

// jobsConfig is that of a jobs bucket. It is made by hand: a bucket made by
// the KV client lacks the message TTLs and atomic batches that it needs.
func jobsConfig(partition int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               jobsStream(partition),
		Description:        ourDescription + "every job on its one key, in every state",
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
