package deadletter

import (
	"log/slog"
	"time"

	"belfry/internal/metrics"
)

// Config configures the dead letters.
type Config struct {
	FiresMaxAge time.Duration // how long a fire waits to be delivered

	Now     func() time.Time
	Log     *slog.Logger
	Metrics *metrics.Streams
}
