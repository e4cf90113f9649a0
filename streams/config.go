package streams

import (
	"cmp"
	"log/slog"
	"time"

	"belfry/internal/job"
	"belfry/internal/metrics"
)

// Config says how to keep things. The zero value works.
type Config struct {
	// Replicas of every stream that is made; 0 is 1.
	Replicas int

	// Partitions is how many parts the jobs are spread over at the first
	// start, up to [MaxPartitions]; 0 is 1. Later starts keep what was fixed
	// then.
	Partitions int

	// HistoryTTL is how long the final state of a job is kept, in whole
	// seconds; 0 is 24 h.
	HistoryTTL time.Duration

	// FiresMaxAge is how long a fire waits to be delivered; 0 is 72 h. A
	// claim that is half as old is made anew.
	FiresMaxAge time.Duration

	// DeadMaxAge is how long dead letters are kept; 0 is 30 days.
	DeadMaxAge time.Duration

	// NativeAckWait is how long a subscriber of a NATS route may be silent about
	// a fire before it is handed out again, and NativeMaxDeliver how often it is
	// handed out before it goes to DEAD; 0 is 30 s and 12.
	NativeAckWait    time.Duration
	NativeMaxDeliver int

	// SyncAlways says that the server syncs each write of its only replica, so
	// that concurrent writes are worth grouping.
	SyncAlways bool

	// OnlyNode says that no other process delivers, so that what the last
	// run left unfinished is handed out again at once.
	OnlyNode bool

	// AuditEvery is how often everything in JetStream is compared with what it
	// should be; 0 is [DefaultAudit].
	AuditEvery time.Duration

	// Metrics counts what happens; nil is nobody.
	Metrics *metrics.Streams

	// Log gets one line per notable event; nil is slog.Default.
	Log *slog.Logger

	// Now is the clock that jobs are due by; nil is time.Now.
	Now func() time.Time
}

// DefaultAudit is how often everything in JetStream is compared: what other hands
// have changed is as it was within a minute.
const DefaultAudit = 45 * time.Second

func (c Config) withDefaults() Config {
	c.Replicas = cmp.Or(c.Replicas, 1)
	c.Partitions = cmp.Or(c.Partitions, 1)
	c.HistoryTTL = cmp.Or(c.HistoryTTL, 24*time.Hour)
	c.FiresMaxAge = cmp.Or(c.FiresMaxAge, 72*time.Hour)
	c.DeadMaxAge = cmp.Or(c.DeadMaxAge, 30*24*time.Hour)
	c.AuditEvery = cmp.Or(c.AuditEvery, DefaultAudit)
	c.NativeAckWait = cmp.Or(c.NativeAckWait, job.DefaultAckWait)
	c.NativeMaxDeliver = cmp.Or(c.NativeMaxDeliver, job.DefaultMaxDeliver)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}
