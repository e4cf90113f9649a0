package lease

import (
	"log/slog"
	"time"

	"belfry/internal/metrics"
)

// Config configures the leases.
type Config struct {
	OnlyNode bool // there is no other

	Now     func() time.Time
	Log     *slog.Logger
	Metrics *metrics.Streams
}
