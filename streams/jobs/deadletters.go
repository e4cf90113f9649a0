package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"belfry/internal/job"
	"belfry/internal/metrics"
	"belfry/streams/journal"
)

// DeadLetters writes the stream DEAD. It is safe for concurrent use.
type DeadLetters struct {
	w   *journal.Writer
	now func() time.Time
	log *slog.Logger

	metrics *metrics.Streams
}

// NewDeadLetters returns dead letters that w writes.
func NewDeadLetters(w *journal.Writer, cfg Config) *DeadLetters {
	return &DeadLetters{w: w, now: cfg.Now, log: cfg.Log, metrics: cfg.Metrics}
}

// DeadRepeats is how long DEAD drops a repeated letter.
const DeadRepeats = 2 * time.Minute

// Bury copies a fire into DEAD, with the reason. Repeating it within [DeadRepeats] adds
// nothing; repeating it later adds a second copy.
func (d *DeadLetters) Bury(ctx context.Context, f job.Fire, reason job.Reason, detail string) error {
	if _, err := d.w.Send(ctx, d.w.Names.EncodeDead(f, reason, detail, d.now())); err != nil {
		return fmt.Errorf("%w: couldn't write the dead letter: %v", job.ErrUnavailable, err)
	}
	d.metrics.Buried(reason)
	d.log.Warn("dead letter written", "db", f.DB, "collection", f.Collection, "job", f.Key.ID,
		"route", f.Route, "attempt", f.Attempt, "reason", reason, "detail", detail)
	return nil
}
