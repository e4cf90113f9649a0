package lease

import (
	"log/slog"
	"time"

	"belfry/internal/metrics"
)

// Config is what leases read.
type Config struct {
	OnlyNode bool // there is no other

	Now     func() time.Time
	Log     *slog.Logger
	Metrics *metrics.Streams
}
