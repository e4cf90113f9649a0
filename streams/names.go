package streams

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
// built and parsed in this file. How the ids in them are escaped is in escape.go; the
// names of headers are in headernames.go.

// Names are the names of the streams, of their buckets, and of the subjects in them.
// The value is what they begin with, as [IsPrefix] accepts it: two Belfrys with
// different values share an account without a name in common. The zero value's names
// are the plain ones.
type Names string

// The streams.
func (n Names) FiresStream() string    { return n.name("FIRES") }      // one message per fire
func (n Names) DeadStream() string     { return n.name("DEAD") }       // what could not be delivered
func (n Names) attemptsStream() string { return n.name("ATTEMPTS") }   // what became of the tries of jobs
func (n Names) advisoryStream() string { return n.name("ADVISORIES") } // what JetStream says of the consumers of FIRES
func (n Names) belfryStream() string   { return bucketStream(n.belfryBucket()) }
func (n Names) gatesStream() string    { return bucketStream(n.gatesBucket()) }
func (n Names) routesStream() string   { return bucketStream(n.routesBucket()) }
func (n Names) tokensStream() string   { return bucketStream(n.tokensBucket()) }

// The buckets.
func (n Names) routesBucket() string { return n.name("routes") } // one key per route
func (n Names) tokensBucket() string { return n.name("tokens") } // one key per bearer token
func (n Names) gatesBucket() string  { return n.name("gates") }  // what holds routes back for a while

// belfryBucket has the number of partitions, leases, nodes, the last restore, ack
// floors, and what the disk is like.
func (n Names) belfryBucket() string { return n.name("belfry") }

// mendingSubject is the only one of a stream while its history is cut.
func (n Names) mendingSubject(stream string) string { return n.subject("belfry.mending." + stream) }

// isGates, isDead and isFires tell which of Belfry's streams one is, whatever its prefix.
func isGates(stream string) bool { return strings.HasSuffix(stream, "gates") }
func isDead(stream string) bool  { return strings.HasSuffix(stream, "DEAD") }
func isFires(stream string) bool { return strings.HasSuffix(stream, "FIRES") }

// jobsBucketPrefix begins the names of the buckets of jobs, one for each partition.
func (n Names) jobsBucketPrefix() string { return n.name("jobs_") }

// The subjects in the streams.
func (n Names) firesSubjects() string    { return n.subject("fires.>") }
func (n Names) fenceSubjects() string    { return n.subject("fence.*") }
func (n Names) deadSubjects() string     { return n.subject("dead.>") }
func (n Names) attemptsSubjects() string { return n.subject("attempts.>") }

// JetStream's words of the fires that subscribers let pass or refused are on these.
func (n Names) unackedSubjects() string {
	return "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES." + n.FiresStream() + ".*"
}
func (n Names) refusedSubjects() string {
	return "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED." + n.FiresStream() + ".*"
}

// name is a name of a stream, a bucket or a service: team1_FIRES.
func (n Names) name(plain string) string {
	if n == "" {
		return plain
	}
	return string(n) + "_" + plain
}

// subject is a subject that is not of JetStream itself: team1.fires.>.
func (n Names) subject(plain string) string {
	if n == "" {
		return plain
	}
	return string(n) + "." + plain
}

// Service names the NATS service, and Subject is one of its subjects.
func (n Names) Service(plain string) string { return n.name(plain) }
func (n Names) Subject(plain string) string { return n.subject(plain) }

const (
	// buryConsumer reads advisoryStream.
	buryConsumer = "bury"

	// epochKey is a key of a jobs bucket that is no job: the owner's mark in the
	// order of its writes. Jobs have three tokens.
	epochKey = "epoch"
	// authKey is the other one, of the first jobs bucket, and a key of the
	// bucket belfry: the mark that authentication was on.
	authKey = "authentication"
	// probeKey is one of each bucket, which shows that writes work.
	probeKey = "probe"

	partitionsKey = "partitions"
	manifestKey   = "manifest"
	restoreKey    = "restore"
	diskKey       = "disk"
	restoreCopy   = "restore.copy" // the same once more, should other hands harm it
	leasePrefix   = "lease."
	nodePrefix    = "node."
	clockPrefix   = "clock."
	floorPrefix   = "floors."

	breakerPrefix = "breaker."
	ratePrefix    = "rate."
)

// Keys of a route consumer's metadata.
const (
	metaDB    = "belfry.db"
	metaRoute = "belfry.route"
	metaType  = "belfry.type"
)

// What subscribers of NATS routes ask JetStream for. In an account of their own
// they begin with SubscriberAPI in the place of JetStreamAPI; acks go where the
// server says, which is the same in every account.
const JetStreamAPI = "$JS.API"

func (n Names) SubscriberAPI() string { return n.subject("JS.belfry") }
func (n Names) InboxInfo() string     { return ".CONSUMER.INFO." + n.FiresStream() + ".*" }
func (n Names) InboxNext() string     { return ".CONSUMER.MSG.NEXT." + n.FiresStream() + ".*" }
func (n Names) InboxAcks() string     { return "$JS.ACK." + n.FiresStream() + ".>" }

// metaAsset is the key of a stream's metadata that says that it is Belfry's; its
// value is the stream's name. Streams of older versions have ourDescription alone.
const (
	metaAsset      = "belfry.asset"
	ourDescription = "Belfry: " // begins the description of all that Belfry makes
)

// WriteSubjects match every subject on which a message changes something that
// a Belfry keeps, this one or another on the server: those of its streams and
// buckets, and of JetStream's API.
func WriteSubjects() []string {
	all := []string{"$KV.>", "$JS.>"}
	for _, n := range []Names{"", "*"} { // no prefix, and any
		all = append(all, n.firesSubjects(), n.fenceSubjects(), n.deadSubjects(), n.attemptsSubjects())
	}
	return all
}

// Where JetStream is asked: the leader of a stream for a message, any replica of
// it for some, and a consumer for its next ones.
func leaderGet(stream string) string  { return "$JS.API.STREAM.MSG.GET." + stream }
func replicaGet(stream string) string { return "$JS.API.DIRECT.GET." + stream }
func purgeOf(stream string) string    { return "$JS.API.STREAM.PURGE." + stream }
func nextOf(stream, consumer string) string {
	return "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer
}

// bucketStream names the stream behind a bucket, and bucketPrefix begins the
// subjects of its keys.
func bucketStream(bucket string) string { return "KV_" + bucket }
func bucketPrefix(bucket string) string { return "$KV." + bucket + "." }

func (n Names) jobsBucket(partition int) string {
	return n.jobsBucketPrefix() + strconv.Itoa(partition)
}
func (n Names) jobsStream(partition int) string { return bucketStream(n.jobsBucket(partition)) }
func (n Names) jobsPrefix(partition int) string { return bucketPrefix(n.jobsBucket(partition)) }
func (n Names) fenceSubject(partition int) string {
	return n.subject("fence.") + strconv.Itoa(partition)
}

func (n Names) jobSubject(partition int, k job.Key) string {
	return n.jobsPrefix(partition) + jobKey(k)
}
func (n Names) markSubject(partition int) string { return n.jobsPrefix(partition) + epochKey }

// parseJobsStream undoes jobsStream.
func (n Names) parseJobsStream(stream string) (partition int, ok bool) {
	number, ok := strings.CutPrefix(stream, bucketStream(n.jobsBucketPrefix()))
	partition, err := strconv.Atoi(number)
	return partition, ok && err == nil && stream == n.jobsStream(partition)
}

// parseJobSubject undoes jobSubject.
func (n Names) parseJobSubject(partition int, subject string) (job.Key, error) {
	return parseJobKey(strings.TrimPrefix(subject, n.jobsPrefix(partition)))
}

// jobsBucketOf names the jobs bucket that a subject belongs to, if any.
func (n Names) jobsBucketOf(subject string) string {
	rest, ok := strings.CutPrefix(subject, "$KV.")
	if !ok || !strings.HasPrefix(rest, n.jobsBucketPrefix()) {
		return ""
	}
	bucket, _, _ := strings.Cut(rest, ".")
	return bucket
}

// probeSubject is where a stream is tried.
func (n Names) probeSubject(stream string) string {
	switch stream {
	case n.FiresStream():
		return n.subject("fence." + probeKey)
	case n.DeadStream():
		return n.subject("dead." + probeKey)
	case n.attemptsStream():
		return n.subject("attempts." + probeKey)
	}
	return "$KV." + strings.TrimPrefix(stream, bucketStream("")) + "." + probeKey
}

// streamOf names the stream of Belfry that a message on a subject goes to, "" for
// none.
func (n Names) streamOf(subject string) string {
	if rest, ok := strings.CutPrefix(subject, "$KV."); ok {
		bucket, _, _ := strings.Cut(rest, ".")
		return bucketStream(bucket)
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
		return n.attemptsStream()
	}
	return ""
}

// jobKey is the job's key in its bucket: three escaped tokens.
func jobKey(k job.Key) string {
	return Escape(k.DB) + "." + Escape(k.Collection) + "." + Escape(k.ID)
}

// allJobs matches the jobs in the partition, and not the owner's mark.
func (n Names) allJobs(partition int) string { return n.jobsPrefix(partition) + "*.*.*" }

// jobSubjectsOf matches the jobs of a db that are in the partition, of all its
// collections if collection is empty.
func (n Names) jobSubjectsOf(partition int, db, collection string) string {
	if collection == "" {
		return n.jobsPrefix(partition) + Escape(db) + ".*.*"
	}
	return n.jobsPrefix(partition) + Escape(db) + "." + Escape(collection) + ".*"
}

// parseJobKey undoes jobKey.
func parseJobKey(key string) (job.Key, error) {
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

// partitionOf spreads jobs over the partitions: FNV-1a of the escaped key.
func partitionOf(k job.Key, partitions int) int {
	h := fnv.New32a()
	h.Write([]byte(jobKey(k))) // a Hash never returns an error
	return int(h.Sum32() % uint32(partitions))
}

// Keys of the bucket belfry.
func leaseKey(partition int) string             { return leasePrefix + strconv.Itoa(partition) }
func nodeKey(node string) string                { return nodePrefix + node }
func clockKey(node string) string               { return clockPrefix + node }
func floorKey(n int) string                     { return floorPrefix + strconv.Itoa(n) }
func (n Names) belfrySubject(key string) string { return "$KV." + n.belfryBucket() + "." + key }

// isPresence reports whether a key tells of a lease or a node.
func isPresence(key string) bool {
	return strings.HasPrefix(key, leasePrefix) || strings.HasPrefix(key, nodePrefix)
}

// parseLeaseKey undoes leaseKey, for partitions below the number that there are.
func parseLeaseKey(key string, partitions int) (partition int, ok bool) {
	number, _ := strings.CutPrefix(key, leasePrefix)
	partition, err := strconv.Atoi(number)
	return partition, err == nil && partition >= 0 && partition < partitions && leaseKey(partition) == key
}

// restoreTag marks what a restore has written, with a number that orders it: of
// a job the revision that it had when it was backed up, of others the place in
// the backup among those of the kind.
func restoreTag(run string, number uint64) string { return run + ":" + formatUint(number) }

// parseRestoreTag undoes restoreTag; without one run is empty.
func parseRestoreTag(h nats.Header) (run string, number uint64) {
	run, n, _ := strings.Cut(h.Get(hdrRestore), ":")
	number, err := strconv.ParseUint(n, 10, 64)
	if err != nil {
		return "", 0
	}
	return run, number
}

// Keys of the gates bucket.
func breakerKey(k job.RouteKey) string         { return breakerPrefix + routeToken(k) }
func rateKey(k job.RouteKey) string            { return ratePrefix + routeToken(k) }
func (n Names) gatesSubject(key string) string { return "$KV." + n.gatesBucket() + "." + key }

// parseBreakerKey undoes breakerKey.
func parseBreakerKey(key string) (job.RouteKey, error) {
	return parseRouteToken(strings.TrimPrefix(key, breakerPrefix))
}

// AlwaysWritten is a stream that each Belfry writes to as long as it runs.
func (n Names) AlwaysWritten() string { return n.belfryStream() }

func (n Names) routesPrefix() string { return bucketPrefix(n.routesBucket()) }
func (n Names) tokensPrefix() string { return bucketPrefix(n.tokensBucket()) }

func (n Names) routeSubject(k job.RouteKey) string { return n.routesPrefix() + routeToken(k) }
func (n Names) tokenSubject(id string) string      { return n.tokensPrefix() + id }

// parseRouteSubject undoes routeSubject.
func (n Names) parseRouteSubject(subject string) (job.RouteKey, error) {
	return parseRouteToken(strings.TrimPrefix(subject, n.routesPrefix()))
}

// parseTokenSubject undoes tokenSubject.
func (n Names) parseTokenSubject(subject string) (id string) {
	return strings.TrimPrefix(subject, n.tokensPrefix())
}

func routeToken(k job.RouteKey) string { return Escape(k.DB) + "." + Escape(k.ID) }

func parseRouteToken(token string) (job.RouteKey, error) {
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

func (n Names) fireSubject(k job.RouteKey) string { return n.subject("fires.") + routeToken(k) }
func (n Names) deadSubject(k job.RouteKey) string { return n.subject("dead.") + routeToken(k) }

// attemptSubject is that of all tries of a job.
func (n Names) attemptSubject(k job.Key) string { return n.subject("attempts.") + jobKey(k) }

// parseAttemptSubject undoes attemptSubject.
func (n Names) parseAttemptSubject(subject string) (job.Key, error) {
	return parseJobKey(strings.TrimPrefix(subject, n.subject("attempts.")))
}

// deadSubjectsOf matches the dead letters of a db, of all its routes if route
// is empty.
func (n Names) deadSubjectsOf(db, route string) string {
	if route == "" {
		return n.subject("dead.") + Escape(db) + ".*"
	}
	return n.deadSubject(job.RouteKey{DB: db, ID: route})
}

// maxConsumerName keeps consumer names within what JetStream takes, 255.
const maxConsumerName = 200

// inboxConsumer names the durable consumer of a route: <db>_<route>, escaped.
// An underscore in db is escaped too, so that no two routes share a name. A
// name that would be too long ends in a hash instead; "=-" cannot come from
// escaping.
func inboxConsumer(k job.RouteKey) string {
	name := strings.ReplaceAll(Escape(k.DB), "_", "=5F") + "_" + Escape(k.ID)
	if len(name) <= maxConsumerName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:100] + "=-" + hex.EncodeToString(sum[:16])
}
