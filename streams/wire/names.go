package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
)

// Every bucket, stream, subject and consumer name that Belfry uses in JetStream is
// built and parsed in this file. Their ids are escaped in escape.go; the names of headers
// are in headernames.go.

// Names are the names of the streams, of their buckets, and of the subjects in them. The
// value is their prefix, as [IsPrefix] accepts it: two Belfrys with different values
// share an account without a name in common. The zero value gives the plain names.
type Names string

// These are the streams.
func (n Names) FiresStream() string    { return n.name("FIRES") }      // one message per fire
func (n Names) DeadStream() string     { return n.name("DEAD") }       // fires that could not be delivered
func (n Names) AttemptsStream() string { return n.name("ATTEMPTS") }   // the results of the tries of jobs
func (n Names) AdvisoryStream() string { return n.name("ADVISORIES") } // JetStream's advisories about the consumers of FIRES
func (n Names) BelfryStream() string   { return BucketStream(n.BelfryBucket()) }
func (n Names) GatesStream() string    { return BucketStream(n.GatesBucket()) }
func (n Names) RoutesStream() string   { return BucketStream(n.RoutesBucket()) }
func (n Names) TokensStream() string   { return BucketStream(n.TokensBucket()) }

// These are the buckets.
func (n Names) RoutesBucket() string { return n.name("routes") } // one key per route
func (n Names) TokensBucket() string { return n.name("tokens") } // one key per bearer token
func (n Names) GatesBucket() string  { return n.name("gates") }  // what holds routes back for a while

// BelfryBucket holds the number of partitions, leases, nodes, the last restore, ack
// floors, and facts about the disk.
func (n Names) BelfryBucket() string { return n.name("belfry") }

// MendingSubject is the only subject of a stream while its history is cut.
func (n Names) MendingSubject(stream string) string { return n.subject("belfry.mending." + stream) }

// IsGates, IsDead and IsFires report which of Belfry's streams one is, whatever its
// prefix.
func IsGates(stream string) bool { return strings.HasSuffix(stream, "gates") }
func IsDead(stream string) bool  { return strings.HasSuffix(stream, "DEAD") }
func IsFires(stream string) bool { return strings.HasSuffix(stream, "FIRES") }

// JobsBucketPrefix is the prefix of the names of the jobs buckets, one for each
// partition.
func (n Names) JobsBucketPrefix() string { return n.name("jobs_") }

// These are the subjects in the streams.
func (n Names) FiresSubjects() string    { return n.subject("fires.>") }
func (n Names) FenceSubjects() string    { return n.subject("fence.*") }
func (n Names) DeadSubjects() string     { return n.subject("dead.>") }
func (n Names) AttemptsSubjects() string { return n.subject("attempts.>") }

// UnackedSubjects match JetStream's advisories about the fires that subscribers let pass
// or refused.
func (n Names) UnackedSubjects() string {
	return "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES." + n.FiresStream() + ".*"
}
func (n Names) RefusedSubjects() string {
	return "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED." + n.FiresStream() + ".*"
}

// name returns the name of a stream, a bucket or a service: team1_FIRES.
func (n Names) name(plain string) string {
	if n == "" {
		return plain
	}
	return string(n) + "_" + plain
}

// subject returns a subject that is not JetStream's own: team1.fires.>.
func (n Names) subject(plain string) string {
	if n == "" {
		return plain
	}
	return string(n) + "." + plain
}

// Service returns the name of the NATS service, and Subject one of its subjects.
func (n Names) Service(plain string) string { return n.name(plain) }
func (n Names) Subject(plain string) string { return n.subject(plain) }

const (
	// BuryConsumer reads AdvisoryStream.
	BuryConsumer = "bury"

	// EpochKey is a key of a jobs bucket that is not a job: the owner's mark in the order
	// of its writes. Job keys have three tokens.
	EpochKey = "epoch"
	// AuthKey is a key of the first jobs bucket that is not a job, and a key of the
	// bucket belfry: the mark that authentication was on.
	AuthKey = "authentication"
	// ProbeKey is a key of each bucket, which shows that writes work.
	ProbeKey = "probe"

	PartitionsKey = "partitions"
	ManifestKey   = "manifest"
	RestoreKey    = "restore"
	DiskKey       = "disk"
	RestoreCopy   = "restore.copy" // a second copy, in case somebody damages the first
	leasePrefix   = "lease."
	NodePrefix    = "node."
	ClockPrefix   = "clock."
	floorPrefix   = "floors."

	BreakerPrefix = "breaker."
	ratePrefix    = "rate."
)

// These are keys of a route consumer's metadata.
const (
	MetadataDB    = "belfry.db"
	MetadataRoute = "belfry.route"
	MetadataType  = "belfry.type"
)

// JetStreamAPI is the prefix of the subjects by which subscribers of NATS routes ask
// JetStream. In an account of their own, SubscriberAPI takes its place. Acks go where the
// server says, which is the same in every account.
const JetStreamAPI = "$JS.API"

func (n Names) SubscriberAPI() string { return n.subject("JS.belfry") }
func (n Names) InboxInfo() string     { return ".CONSUMER.INFO." + n.FiresStream() + ".*" }
func (n Names) InboxNext() string     { return ".CONSUMER.MSG.NEXT." + n.FiresStream() + ".*" }
func (n Names) InboxAcks() string     { return "$JS.ACK." + n.FiresStream() + ".>" }

// MetadataAsset is the key of a stream's metadata that marks it as Belfry's; its value is
// the stream's name. Streams of older versions have only OurDescription.
const (
	MetadataAsset  = "belfry.asset"
	OurDescription = "Belfry: " // the prefix of the description of everything that Belfry creates
)

// WriteSubjects match every subject on which a message changes something that this
// Belfry, or another on the server, keeps: the subjects of its streams and buckets, and
// of JetStream's API.
func WriteSubjects() []string {
	all := []string{"$KV.>", "$JS.>"}
	for _, n := range []Names{"", "*"} { // no prefix, and any prefix
		all = append(all, n.FiresSubjects(), n.FenceSubjects(), n.DeadSubjects(), n.AttemptsSubjects())
	}
	return all
}

// LeaderGet is the subject for asking a stream's leader for a message, ReplicaGet for
// asking any replica, PurgeOf for purging a stream, and NextOf for asking a consumer for
// its next messages.
func LeaderGet(stream string) string  { return "$JS.API.STREAM.MSG.GET." + stream }
func ReplicaGet(stream string) string { return "$JS.API.DIRECT.GET." + stream }
func PurgeOf(stream string) string    { return "$JS.API.STREAM.PURGE." + stream }
func NextOf(stream, consumer string) string {
	return "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer
}

// BucketStream returns the name of the stream behind a bucket, and BucketPrefix the
// prefix of the subjects of its keys.
func BucketStream(bucket string) string { return "KV_" + bucket }
func BucketPrefix(bucket string) string { return "$KV." + bucket + "." }

func (n Names) JobsBucket(partition int) string {
	return n.JobsBucketPrefix() + strconv.Itoa(partition)
}
func (n Names) JobsStream(partition int) string { return BucketStream(n.JobsBucket(partition)) }
func (n Names) JobsPrefix(partition int) string { return BucketPrefix(n.JobsBucket(partition)) }
func (n Names) FenceSubject(partition int) string {
	return n.subject("fence.") + strconv.Itoa(partition)
}

func (n Names) JobSubject(partition int, k job.Key) string {
	return n.JobsPrefix(partition) + JobKey(k)
}
func (n Names) MarkSubject(partition int) string { return n.JobsPrefix(partition) + EpochKey }

// ParseJobsStream undoes JobsStream.
func (n Names) ParseJobsStream(stream string) (partition int, ok bool) {
	number, ok := strings.CutPrefix(stream, BucketStream(n.JobsBucketPrefix()))
	partition, err := strconv.Atoi(number)
	return partition, ok && err == nil && stream == n.JobsStream(partition)
}

// ParseJobSubject undoes JobSubject.
func (n Names) ParseJobSubject(partition int, subject string) (job.Key, error) {
	return ParseJobKey(strings.TrimPrefix(subject, n.JobsPrefix(partition)))
}

// JobsBucketOf returns the name of the jobs bucket that a subject belongs to, if any.
func (n Names) JobsBucketOf(subject string) string {
	rest, ok := strings.CutPrefix(subject, "$KV.")
	if !ok || !strings.HasPrefix(rest, n.JobsBucketPrefix()) {
		return ""
	}
	bucket, _, _ := strings.Cut(rest, ".")
	return bucket
}

// ProbeSubject is the subject of the probes of a stream.
func (n Names) ProbeSubject(stream string) string {
	switch stream {
	case n.FiresStream():
		return n.subject("fence." + ProbeKey)
	case n.DeadStream():
		return n.subject("dead." + ProbeKey)
	case n.AttemptsStream():
		return n.subject("attempts." + ProbeKey)
	}
	return "$KV." + strings.TrimPrefix(stream, BucketStream("")) + "." + ProbeKey
}

// StreamOf returns the name of Belfry's stream that stores messages on a subject, "" if
// there is none.
func (n Names) StreamOf(subject string) string {
	if rest, ok := strings.CutPrefix(subject, "$KV."); ok {
		bucket, _, _ := strings.Cut(rest, ".")
		return BucketStream(bucket)
	}
	plain, ok := strings.CutPrefix(subject, n.subject(""))
	if !ok {
		return ""
	}
	switch first, _, _ := strings.Cut(plain, "."); first {
	case "fires", "fence":
		return n.FiresStream()
	case "dead":
		return n.DeadStream()
	case "attempts":
		return n.AttemptsStream()
	}
	return ""
}

// JobKey is the job's key in its bucket: three escaped tokens.
func JobKey(k job.Key) string {
	return Escape(k.DB) + "." + Escape(k.Collection) + "." + Escape(k.ID)
}

// AllJobs matches the jobs in the partition, and not the owner's mark.
func (n Names) AllJobs(partition int) string { return n.JobsPrefix(partition) + "*.*.*" }

// JobSubjectsOf matches the jobs in the partition that belong to a db and collection, or
// to all collections of the db if collection is empty.
func (n Names) JobSubjectsOf(partition int, db, collection string) string {
	if collection == "" {
		return n.JobsPrefix(partition) + Escape(db) + ".*.*"
	}
	return n.JobsPrefix(partition) + Escape(db) + "." + Escape(collection) + ".*"
}

// ParseJobKey undoes JobKey.
func ParseJobKey(key string) (job.Key, error) {
	parts := strings.Split(key, ".")
	if len(parts) != 3 {
		return job.Key{}, fmt.Errorf("key %q has %d tokens; a job's has 3: <db>.<collection>.<id>", key, len(parts))
	}
	for i, p := range parts {
		var err error
		if parts[i], err = Unescape(p); err != nil {
			return job.Key{}, err
		}
	}
	k := job.Key{DB: parts[0], Collection: parts[1], ID: parts[2]}
	return k, k.Check()
}

// PartitionOf spreads jobs over the partitions: FNV-1a of the escaped key.
func PartitionOf(k job.Key, partitions int) int {
	h := fnv.New32a()
	h.Write([]byte(JobKey(k))) // a Hash never returns an error
	return int(h.Sum32() % uint32(partitions))
}

// Keys of the bucket belfry.
func LeaseKey(partition int) string             { return leasePrefix + strconv.Itoa(partition) }
func NodeKey(node string) string                { return NodePrefix + node }
func ClockKey(node string) string               { return ClockPrefix + node }
func FloorKey(n int) string                     { return floorPrefix + strconv.Itoa(n) }
func (n Names) BelfrySubject(key string) string { return "$KV." + n.BelfryBucket() + "." + key }

// IsPresence reports whether a key is a lease's or a node's.
func IsPresence(key string) bool {
	return strings.HasPrefix(key, leasePrefix) || strings.HasPrefix(key, NodePrefix)
}

// ParseLeaseKey undoes LeaseKey, for partitions below the number of partitions.
func ParseLeaseKey(key string, partitions int) (partition int, ok bool) {
	number, _ := strings.CutPrefix(key, leasePrefix)
	partition, err := strconv.Atoi(number)
	return partition, err == nil && partition >= 0 && partition < partitions && LeaseKey(partition) == key
}

// RestoreTag marks a message that a restore wrote, with a number that orders it. For a
// job, the number is the revision that it had in the backup; for others, the place in the
// backup among those of the kind.
func RestoreTag(run string, number uint64) string { return run + ":" + FormatUint(number) }

// ParseRestoreTag undoes RestoreTag; run is empty if there is no tag.
func ParseRestoreTag(h nats.Header) (run string, number uint64) {
	run, n, _ := strings.Cut(h.Get(HeaderRestore), ":")
	number, err := strconv.ParseUint(n, 10, 64)
	if err != nil {
		return "", 0
	}
	return run, number
}

// Keys of the gates bucket.
func BreakerKey(k job.RouteKey) string         { return BreakerPrefix + RouteToken(k) }
func RateKey(k job.RouteKey) string            { return ratePrefix + RouteToken(k) }
func (n Names) GatesSubject(key string) string { return "$KV." + n.GatesBucket() + "." + key }

// ParseBreakerKey undoes BreakerKey.
func ParseBreakerKey(key string) (job.RouteKey, error) {
	return ParseRouteToken(strings.TrimPrefix(key, BreakerPrefix))
}

// AlwaysWritten is a stream that each Belfry writes to while it runs.
func (n Names) AlwaysWritten() string { return n.BelfryStream() }

func (n Names) RoutesPrefix() string { return BucketPrefix(n.RoutesBucket()) }
func (n Names) TokensPrefix() string { return BucketPrefix(n.TokensBucket()) }

func (n Names) RouteSubject(k job.RouteKey) string { return n.RoutesPrefix() + RouteToken(k) }
func (n Names) TokenSubject(id string) string      { return n.TokensPrefix() + id }

// ParseRouteSubject undoes RouteSubject.
func (n Names) ParseRouteSubject(subject string) (job.RouteKey, error) {
	return ParseRouteToken(strings.TrimPrefix(subject, n.RoutesPrefix()))
}

// ParseTokenSubject undoes TokenSubject.
func (n Names) ParseTokenSubject(subject string) (id string) {
	return strings.TrimPrefix(subject, n.TokensPrefix())
}

// RouteToken returns the route as part of a subject or a key; ParseRouteToken reads it
// back.
func RouteToken(k job.RouteKey) string { return Escape(k.DB) + "." + Escape(k.ID) }

func ParseRouteToken(token string) (job.RouteKey, error) {
	db, id, ok := strings.Cut(token, ".")
	if !ok {
		return job.RouteKey{}, fmt.Errorf("key %q has no dot; a route's is <db>.<id>", token)
	}
	k := job.RouteKey{}
	var err error
	if k.DB, err = Unescape(db); err != nil {
		return k, err
	}
	if k.ID, err = Unescape(id); err != nil {
		return k, err
	}
	return k, k.Check()
}

func (n Names) FireSubject(k job.RouteKey) string { return n.subject("fires.") + RouteToken(k) }
func (n Names) deadSubject(k job.RouteKey) string { return n.subject("dead.") + RouteToken(k) }

// AttemptSubject is the subject of all tries of a job.
func (n Names) AttemptSubject(k job.Key) string { return n.subject("attempts.") + JobKey(k) }

// ParseAttemptSubject undoes AttemptSubject.
func (n Names) ParseAttemptSubject(subject string) (job.Key, error) {
	return ParseJobKey(strings.TrimPrefix(subject, n.subject("attempts.")))
}

// DeadSubjectsOf matches the dead letters of a db and route, or of all routes of the db
// if route is empty.
func (n Names) DeadSubjectsOf(db, route string) string {
	if route == "" {
		return n.subject("dead.") + Escape(db) + ".*"
	}
	return n.deadSubject(job.RouteKey{DB: db, ID: route})
}

// maxConsumerName keeps consumer names below the 255 bytes that JetStream accepts.
const maxConsumerName = 200

// InboxConsumer names the durable consumer of a route: <db>_<route>, escaped. An
// underscore in db is escaped, too, so that no two routes share a name. A name that would
// be too long ends in a hash instead; escaping never produces "=-".
func InboxConsumer(k job.RouteKey) string {
	name := strings.ReplaceAll(Escape(k.DB), "_", "=5F") + "_" + Escape(k.ID)
	if len(name) <= maxConsumerName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:100] + "=-" + hex.EncodeToString(sum[:16])
}
