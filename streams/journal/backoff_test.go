package journal_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"belfry/streams/journal"
)

// Work that fails at once is retried less and less often. Work that had lasted is retried
// soon, however often it failed before.
func TestKeepAtStartsOver(t *testing.T) {
	const first, most = 50 * time.Millisecond, 2 * time.Second
	// A pause may be up to half longer or half shorter.
	soon, late := first*3/2, most/2
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		lasts := []time.Duration{19: most, 20: 30 * 24 * time.Hour, 40: most + 1, 41: 0}
		var pauses []time.Duration // the pause before each call but the first
		var broke time.Time
		told := 0
		journal.RetryForever(ctx, first, most, func(ctx context.Context) error {
			if !broke.IsZero() {
				pauses = append(pauses, time.Since(broke))
			}
			if len(pauses) == len(lasts) {
				stop()
				return ctx.Err()
			}
			time.Sleep(lasts[len(pauses)])
			broke = time.Now()
			return errors.New("broken")
		}, func(error) { told++ })

		if told != len(lasts) {
			t.Errorf("told %d times; broke %d times before the end", told, len(lasts))
		}
		for i, pause := range pauses {
			switch i {
			case 0, 20, 40:
				if pause > soon {
					t.Errorf("after it had lasted %v: paused %v; want at most %v", lasts[i], pause, soon)
				}
			case 19, 39:
				if pause < late {
					t.Errorf("after it had broken many times: paused %v; want at least %v", pause, late)
				}
			}
		}
	})
}

// The end of ctx ends a pause and is not reported as an error.
func TestKeepAtEndsInPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		began, told := time.Now(), 0
		journal.RetryForever(ctx, time.Hour, time.Hour, func(context.Context) error {
			return errors.New("broken")
		}, func(error) { told++ })
		if lasted := time.Since(began); lasted != time.Minute || told != 1 {
			t.Errorf("ended after %v, having told %d times; want 1m0s and 1", lasted, told)
		}
	})
}
