package journal

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// NewBackOff returns growing pauses between first and most, without end.
func NewBackOff(first, most time.Duration) backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(first), backoff.WithMaxInterval(most), backoff.WithMaxElapsedTime(0))
}

// RetryForever calls once until ctx ends. Whenever once returns, it reports the error to
// tell, pauses, and calls once again. The pauses grow from first to most while once fails
// quickly. They start over when once has lasted longer than most: the trouble is new
// then, and retries are rare enough without a pause.
func RetryForever(ctx context.Context, first, most time.Duration, once func(context.Context) error, tell func(error)) {
	pause := NewBackOff(first, most)
	for ctx.Err() == nil {
		began := time.Now()
		err := once(ctx)
		if ctx.Err() != nil {
			return
		}
		tell(err)
		if time.Since(began) > most {
			pause.Reset()
		}
		Sleep(ctx, pause.NextBackOff())
	}
}

// Sleep waits for d and reports whether ctx let it.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
