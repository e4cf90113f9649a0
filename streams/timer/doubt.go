package timer

import (
	"context"
	"time"

	"belfry/internal/loglimit"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// The routine for doubt, which is the routine for taking over: a new fence, a
// mark in the jobs bucket, the tail up to the mark, and then every claim of an
// earlier epoch is settled by what FIRES holds. It serves start, takeover, a
// missing answer and a reconnect alike.

// calmTenure is how long a tenure lasts that is no sign of trouble.
const calmTenure = 10 * time.Second

// take begins the routine beside the loop, after a while, in place of one that is
// under way.
func (t *Timer) take(ctx context.Context, after time.Duration) {
	t.stopTake()
	ctx, t.stopTake = context.WithCancel(ctx)
	t.start(func(context.Context) {
		if !journal.Sleep(ctx, after) {
			return
		}
		if ten, ok := t.fenceAndMark(ctx); ok {
			t.post(ctx, func(context.Context) { t.taken(ten) })
		}
	})
}

// taken takes in a fence and a mark, unless there are newer ones.
func (t *Timer) taken(ten tenure) {
	if t.wanted && ten.fence > t.tenure.fence && (t.next == nil || ten.fence > t.next.fence) {
		t.next = &ten
	}
}

// inDoubt asks the loop for the routine, for the sake of a fire of the tenure. The
// routine of a newer one has looked into all that came before.
func (t *Timer) inDoubt(ctx context.Context, why string, ten tenure) {
	t.post(ctx, func(ctx context.Context) {
		if t.tenure.fence == ten.fence {
			t.doubt(ctx, why)
		}
	})
}

// doubt ends the tenure and begins the routine, unless it is under way. What ends
// one tenure soon may end the next one too, so they are spaced out.
func (t *Timer) doubt(ctx context.Context, why string) {
	if t.tenure.fence == 0 {
		return // on standby, or about to own under a new fence anyway
	}
	loglimit.Warn(t.log, "in doubt about the last fires; taking a new fence", "partition", t.partition, "why", why)
	t.meter.Doubted()
	t.tenure = tenure{}
	t.idle.set(InDoubt, why)
	t.owning.Store(false)
	if t.now().Sub(t.began) > calmTenure {
		t.pace.Reset()
	}
	t.take(ctx, t.pace.NextBackOff())
}

// refused deals with a fire that the server refused, and reports whether its
// claim is somebody else's to deal with now: the routine's, under a newer fence
// of our own, or that of another owner.
func (t *Timer) refused(ctx context.Context, ten tenure) bool {
	// All fires of a batch ask the same.
	why, _, _ := t.asking.Do(wire.FormatUint(ten.fence), func() (any, error) { return t.whyRefused(ctx, ten.fence), nil })
	switch why {
	case forFence:
		t.post(ctx, func(context.Context) { t.depose(ten) })
		return true
	case forUnknown:
		t.inDoubt(ctx, "a fire was refused, and not for a newer fence", ten)
		return true
	}
	return false
}
