package timer

import (
	"context"
	"time"
)

// Tests of a whole store use the methods below to imitate a failing machine or server.

// Crash ends everything that Run has begun at once, as if the process died.
func (t *Timer) Crash() { t.stopWork() }

// Doubt makes the timer doubt the last fires under a fence.
func (t *Timer) Doubt(why string, fence uint64) {
	t.inDoubt(context.Background(), why, tenure{fence: fence})
}

// HearState gives the timer a leader's answer: when its bucket was created, and the last
// message in it.
func (t *Timer) HearState(created time.Time, last uint64) {
	t.post(context.Background(), func(ctx context.Context) {
		t.compare(ctx, leaderState{created: created, last: last, present: last})
	})
}

// Entries counts the queue's records. It is called when Run has returned.
func (t *Timer) Entries() int { return t.queue.Entries() }
