package timer

import (
	"context"
	"time"

	"belfry/internal/loglimit"
	"belfry/streams/wire"
)

// calmTenure is the shortest tenure that is no sign of trouble.
const calmTenure = 10 * time.Second

// inDoubt asks the loop to run the routine because of a fire of the tenure. The routine
// of a newer tenure has already looked into everything before it.
func (t *Timer) inDoubt(ctx context.Context, why string, ten tenure) {
	t.post(ctx, func(ctx context.Context) {
		if t.tenure.fence == ten.fence {
			t.doubt(ctx, why)
		}
	})
}

// doubt ends the tenure and begins the routine, unless the routine is under way. A reason
// that ends one tenure soon may end the next one, too, so they are spaced out.
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

// refused handles a fire that the server refused. It reports whether somebody else
// handles its claim from now on: the routine, under a newer fence of our own, or another
// owner.
func (t *Timer) refused(ctx context.Context, ten tenure) bool {
	// All fires of a batch share one question.
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

// refusal is why the server refused a fire.
type refusal int

const (
	// forNothing means that our fence is the last one, or unknown to a leader that is
	// behind; the fire can be sent again.
	forNothing refusal = iota
	// forFence means that another fence is the last one.
	forFence
	// forUnknown means that the fence is gone or cannot be read, or that another server
	// may have stored the fire.
	forUnknown
)

// whyRefused finds out why a fire under our fence was refused. The server gives the same
// answer for a fence that differs, for one that it could not read, and on replicas while
// another fire is under way.
//
// On replicas two servers can take themselves for the leader, when one of them wakes up
// or was cut off. Both get the fire then. The old leader refuses it at once, by what it
// last knew, while the new one is about to store it. So only a newer fence is a reason to
// trust.
func (t *Timer) whyRefused(ctx context.Context, fence uint64) refusal {
	last, found, err := t.w.LastOnLeader(ctx, t.w.Names.FiresStream(), t.w.Names.FenceSubject(t.partition))
	switch {
	case err != nil || !found:
		return forUnknown
	case last.Seq > fence:
		return forFence
	case t.w.Replicated:
		return forUnknown
	}
	return forNothing
}
