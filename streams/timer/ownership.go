package timer

import (
	"context"
)

// tenure is the ownership of the partition from one fence to the next.
type tenure struct {
	// fence is the sequence of our message on fence.<p> in FIRES. While it is the last
	// one there, we are the owner: every fire is published on that condition, so the
	// server refuses an owner that was replaced, whenever it wakes.
	fence uint64

	// mark is the sequence of our epoch record in the jobs bucket, written after the
	// fence. A claim of an older epoch behind the mark was answered when the fence was
	// already there, so its fire cannot be in FIRES.
	mark uint64
}

// own begins to take the partition, in the loop.
func (t *Timer) own(ctx context.Context) {
	if t.wanted {
		return
	}
	t.wanted = true
	t.replaced.Store(false)
	t.idle.set(TakesFence, "")
	t.take(ctx, 0)
}

// release lets go of the partition, in the loop. done is closed once the last fires are
// finished.
func (t *Timer) release(done chan struct{}) {
	t.wanted = false
	t.stopTake()
	t.tenure, t.next = tenure{}, nil
	t.owning.Store(false)
	t.idle.set(HandsOver, "")
	t.releases = append(t.releases, done)
}

// letGo answers releases once no fire is under way, so that the successor
// finds nothing half done.
func (t *Timer) letGo() {
	if len(t.releases) == 0 || t.firing.Load() > 0 || !t.finisher.idle() {
		return
	}
	for _, done := range t.releases {
		close(done)
	}
	t.releases = nil
}

// marked handles an owner's mark. A mark under a newer fence than ours is our
// successor's. The successor can be sure of our last claims only if we make no more. A
// refused fire alone does not stop us, since an owner without fires to publish is never
// refused.
func (t *Timer) marked(epoch uint64) {
	if t.next != nil && epoch > t.next.fence || t.tenure.fence > 0 && epoch > t.tenure.fence {
		t.stopOwning()
	}
}

// depose ends the tenure if it is still the one that was refused.
func (t *Timer) depose(ten tenure) {
	if t.tenure == ten {
		t.stopOwning()
	}
}

func (t *Timer) stopOwning() {
	t.stopTake()
	t.tenure, t.next = tenure{}, nil
	t.wanted = false
	t.idle.set(Replaced, "")
	t.owning.Store(false)
	t.replaced.Store(true)
	t.log.Warn("another process fires this partition now; this one has stopped", "partition", t.partition)
}
