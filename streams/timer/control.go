package timer

import (
	"context"
	"time"
)

// Own orders the timer to own its partition. It returns when the loop has taken the
// order, or when the timer or ctx has ended.
func (t *Timer) Own(ctx context.Context) {
	t.post(ctx, t.own)
}

// Release orders the timer to release its partition. It returns when the last fires are
// finished, or after a bounded time: the fence settles what is left. It returns false if
// the timer or ctx has ended.
func (t *Timer) Release(ctx context.Context) bool {
	done := make(chan struct{})
	if !t.post(ctx, func(context.Context) { t.release(done) }) {
		return false
	}
	select {
	case <-done:
	case <-time.After(shutdownPatience):
	case <-ctx.Done():
		return false
	}
	return true
}

// Owns reports whether the timer fires what comes due.
func (t *Timer) Owns() bool { return t.owning.Load() }

// Replaced reports whether another process has taken the partition from the timer.
func (t *Timer) Replaced() bool { return t.replaced.Load() }

// SetUnleased records whether the partition is free and ours to take while its lease
// cannot be written. While it is, its late jobs count as ours.
func (t *Timer) SetUnleased(unleased bool) { t.unleased.Store(unleased) }

// Idle says why the timer does not fire, in words for humans.
func (t *Timer) Idle() string { return t.idle.String() }
