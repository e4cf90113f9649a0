package timer

import (
	"context"
	"time"
)

// The methods below are for the tests of a whole store, which imitate a failing machine
// or server with them.

// Crash ends all that Run has begun where it stands, as if the process died.
func (t *Timer) Crash() { t.stopWork() }

// Doubt has the timer doubt the last fires under a fence.
func (t *Timer) Doubt(why string, fence uint64) {
	t.inDoubt(context.Background(), why, tenure{fence: fence})
}

// HearState has the timer hear from a leader when its bucket was made, and of the
// last message in it.
func (t *Timer) HearState(created time.Time, last uint64) {
	t.post(context.Background(), func(ctx context.Context) {
		t.compare(ctx, leaderState{created: created, last: last, present: last})
	})
}

// Entries counts what the queue holds. It is called when Run has returned.
func (t *Timer) Entries() int { return t.queue.Entries() }
