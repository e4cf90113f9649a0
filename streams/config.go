package streams

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
	"belfry/internal/metrics"
	"belfry/internal/room"
	"belfry/streams/asset"
	"belfry/streams/lease"
	"belfry/streams/manifest"
	"belfry/streams/setup"
	"belfry/streams/wire"
)

// Config says how the store works. The zero value works.
type Config struct {
	// Names are the names of everything in JetStream; the zero value has the plain names.
	Names wire.Names

	// Replicas is the number of copies of every stream; 0 is 3 in a cluster and 1
	// otherwise. Streams with fewer get more as soon as the servers can hold them.
	Replicas int

	// Partitions is how many parts the jobs are spread over, set at the first start, up
	// to [setup.MaxPartitions]; 0 is 1. Later starts keep the number of the first.
	Partitions int

	// MaxMeta is the longest meta of a job, in bytes; 0 is 512 KiB. It also limits a job
	// that is put into its bucket by hand, and the size of a read.
	MaxMeta int

	// HistoryTTL is how long the final state of a job is kept, in whole
	// seconds; 0 is 24 h.
	HistoryTTL time.Duration

	// FiresMaxAge is how long a fire waits to be delivered; 0 is 72 h. A claim of half
	// that age is made anew.
	FiresMaxAge time.Duration

	// DeadMaxAge is how long dead letters are kept; 0 is 30 days.
	DeadMaxAge time.Duration

	// NativeAckWait is how long a subscriber of a NATS route may be silent about a fire
	// before it is redelivered; 0 is 30 s. NativeMaxDeliver is how often it is delivered
	// before it goes to DEAD; 0 is 12.
	NativeAckWait    time.Duration
	NativeMaxDeliver int

	// SyncAlways says that the server syncs each write of its only replica, so
	// that concurrent writes are worth grouping.
	SyncAlways bool

	// OnlyNode says that no other process delivers, so that fires which the last run left
	// unfinished are redelivered at once.
	OnlyNode bool

	// SubscriberAPI is the prefix of the subjects of the JetStream API for subscribers
	// in another account; it is empty if they are in this one.
	SubscriberAPI string

	// MaxPullWait is the longest that a subscriber's pull may wait. With 0 the only node
	// sets no limit, and other nodes leave each inbox as it is.
	MaxPullWait time.Duration

	// Authenticated says that an admin token is configured, so that authentication is on
	// even without other tokens.
	Authenticated bool

	// Conns are the connections besides the timer's.
	Conns Conns

	// Reads bounds the total size of the answers that requests wait for from JetStream;
	// nil is no bound. It must be well below the server's max_pending, 64 MiB by default:
	// the server cuts a connection with more to read.
	Reads *room.Pool

	// InFlight bounds the total size of the jobs that are loaded, fired or delivered, by
	// route; nil is no bound. Its waits should be short.
	InFlight *room.Pool

	// DiskIgnoresCase says that the embedded server's disk does not distinguish upper and
	// lower case. Other nodes learn it from the store, so it is read only with OnlyNode.
	DiskIgnoresCase bool

	// Ledger keeps the manifest; nil is a key of the bucket belfry.
	Ledger manifest.Ledger

	// Disk is what the embedded server's folder showed; nil means an external server.
	Disk setup.Disk

	// Place tells humans where the data is.
	Place string

	// ExistingData refuses a first start. RecreateMissing recreates streams that were
	// lost. AcceptDamage accepts the damage known now.
	ExistingData    bool
	RecreateMissing bool
	AcceptDamage    string

	// MaxBytes is how much all streams may hold together, for accounts that require a
	// limit; see [asset.Set.Bounded]. 0 is no bound.
	MaxBytes int64

	// NotReady is called with the reason why [Open] waits for JetStream; nil calls
	// nobody.
	NotReady func(why error)

	// KeepEvery is how often [Store.Keep] records how far the streams are; 0 is 10 s.
	KeepEvery time.Duration

	// GrowEvery is how often Belfry tries to give more copies to streams with too few; 0
	// is a minute.
	GrowEvery time.Duration

	// AuditEvery is how often everything in JetStream is compared with its intended
	// state; 0 is 45 s.
	AuditEvery time.Duration

	// Metrics counts what happens; nil counts nowhere.
	Metrics *metrics.Streams

	// Log gets one line per notable event; nil is slog.Default.
	Log *slog.Logger

	// Now is the clock that jobs are due by; nil is time.Now.
	Now func() time.Time
}

// Conns are the connections besides the one that [Open] is given, which is the timer's.
// The timer's connection carries the timer and its writes, the final states that workers
// write, the leases, the watches of routes, gates and tokens, and the burying of fires.
// No answer to a request arrives on it, so no request can stall it or have the server cut
// it. They may be to other servers of the same cluster.
type Conns struct {
	// Workers brings the fires to the workers, with what they read about the jobs, and
	// takes the attempts; nil is the timer's.
	Workers *nats.Conn

	// Requests is for everything that requests read and write: jobs one by one, in bulk,
	// and by filter, lists, dead letters, attempts, routes, backups and restores; nil is
	// the timer's.
	Requests *nats.Conn
}

// defaultAudit is how often everything in JetStream is compared. Changes by others are
// undone within a minute.
const defaultAudit = 45 * time.Second

func (c Config) withDefaults() Config {
	c.GrowEvery = cmp.Or(c.GrowEvery, time.Minute)
	c.Partitions = cmp.Or(c.Partitions, 1)
	c.HistoryTTL = cmp.Or(c.HistoryTTL, 24*time.Hour)
	c.FiresMaxAge = cmp.Or(c.FiresMaxAge, 72*time.Hour)
	c.DeadMaxAge = cmp.Or(c.DeadMaxAge, 30*24*time.Hour)
	c.AuditEvery = cmp.Or(c.AuditEvery, defaultAudit)
	c.NativeAckWait = cmp.Or(c.NativeAckWait, job.DefaultAckWait)
	c.NativeMaxDeliver = cmp.Or(c.NativeMaxDeliver, job.DefaultMaxDeliver)
	c.MaxMeta = cmp.Or(c.MaxMeta, 512<<10)
	c.KeepEvery = cmp.Or(c.KeepEvery, 10*time.Second)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// assets returns the streams that the config asks for.
func (c Config) assets() asset.Set {
	return asset.Set{
		Names: c.Names, HistoryTTL: c.HistoryTTL, FiresMaxAge: c.FiresMaxAge, DeadMaxAge: c.DeadMaxAge,
		PresenceTTL: lease.PresenceTTL, MaxBytes: c.MaxBytes,
	}
}
