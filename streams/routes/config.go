package routes

import (
	"log/slog"
	"time"

	"belfry/internal/metrics"
	"belfry/streams/due"
	"belfry/streams/wire"
)

// Config says how to keep routes and how to set up their inboxes.
type Config struct {
	Names   wire.Names
	Log     *slog.Logger
	Metrics *metrics.Streams
	Now     func() time.Time

	// MaxMeta is the longest meta of a job, in bytes, and so of a fire.
	MaxMeta int

	// NativeAckWait and NativeMaxDeliver apply to NATS routes that set no others.
	NativeAckWait    time.Duration
	NativeMaxDeliver int

	// MaxPullWait is the longest that a subscriber's pull may wait; 0 is no limit.
	MaxPullWait time.Duration

	// SubscriberAPI is the prefix of the JetStream API subjects for subscribers.
	SubscriberAPI string

	// IgnoresCase says that the server's disk does not distinguish upper and lower case.
	IgnoresCase bool

	// Room bounds the fires that workers hold, and Claims knows the standing claims.
	Room   due.InFlight
	Claims due.Index

	// Changed is called after each change of a route or its gates. It does not block.
	Changed func()
}
