package routes

import (
	"log/slog"
	"time"

	"belfry/internal/metrics"
	"belfry/streams/due"
	"belfry/streams/wire"
)

// Config says how to keep routes, and how their inboxes are.
type Config struct {
	Names   wire.Names
	Log     *slog.Logger
	Metrics *metrics.Streams
	Now     func() time.Time

	// MaxMeta is the longest meta of a job, in bytes: how much a fire may bring.
	MaxMeta int

	// NativeAckWait and NativeMaxDeliver are for NATS routes that say nothing else.
	NativeAckWait    time.Duration
	NativeMaxDeliver int

	// MaxPullWait is the longest that a pull of a subscriber may wait; 0 is any time.
	MaxPullWait time.Duration

	// SubscriberAPI is what the subjects of the JetStream API begin with for
	// subscribers.
	SubscriberAPI string

	// IgnoresCase says that the disk of the server does not tell upper from lower
	// case.
	IgnoresCase bool

	// Room bounds the fires that workers hold, and Claims tells which stand.
	Room   due.InFlight
	Claims due.Index

	// Changed is told of each change of a route or its gates. It does not block.
	Changed func()
}
