package timer

import (
	"context"
	"sync"
	"time"

	"belfry/streams/backup"
	"belfry/streams/journal"
)

// holds tracks the restores that a timer waits for: it fires nothing while there is one.
// Each restored job names its restore, so no node can fire it before it has asked whether
// that restore is finished. A restore that broke off finds every job as it left it. It is
// safe for concurrent use.
type holds struct {
	mu    sync.Mutex      // guards what follows
	under map[string]bool // by run: true while it holds, false once it is finished
}

// begin records a restore and reports whether it is a new one.
func (h *holds) begin(run string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.under[run]; known {
		return false
	}
	if h.under == nil {
		h.under = map[string]bool{}
	}
	h.under[run] = true
	return true
}

func (h *holds) end(run string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.under[run] = false
}

func (h *holds) any() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, holds := range h.under {
		if holds {
			return true
		}
	}
	return false
}

// Holds reports whether the timer waits for a restore.
func (t *Timer) Holds() bool { return t.holds.any() }

// holdPoll is how often a timer asks whether a restore is finished.
const holdPoll = 500 * time.Millisecond

// holdFor keeps the timer from firing until the restore is finished.
func (t *Timer) holdFor(run string) {
	if run == "" || !t.holds.begin(run) {
		return
	}
	t.start(func(ctx context.Context) {
		for told := false; ; {
			through, err := backup.Restored(ctx, t.w, run)
			if through {
				t.post(ctx, func(context.Context) { t.holds.end(run) })
				return
			}
			if !told && err == nil {
				t.log.Info("nothing fires until the backup is restored", "partition", t.partition)
				told = true
			}
			if !journal.Sleep(ctx, holdPoll) {
				return
			}
		}
	})
}
