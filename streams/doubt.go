package streams

import (
	"context"
)

// The routine for doubt, which is the routine for taking over: a new fence, a
// mark in the jobs bucket, the tail up to the mark, and then every claim of an
// earlier epoch is settled by what FIRES holds. It serves start, takeover, a
// missing answer and a reconnect alike.

// take begins the routine beside the loop.
func (t *timer) take(ctx context.Context) {
	t.start(func(context.Context) {
		if ten, ok := t.own(ctx); ok {
			select {
			case t.tenures <- ten:
			case <-ctx.Done():
			}
		}
	})
}

// inDoubt asks the loop for the routine. Doubts that come together are one.
func (t *timer) inDoubt(why string) {
	select {
	case t.doubts <- why:
	default:
	}
}

// doubt ends the tenure and begins the routine, unless it is under way.
func (t *timer) doubt(ctx context.Context, why string) {
	if t.tenure.fence == 0 {
		return
	}
	t.log.Warn("in doubt about the last fires; taking a new fence", "partition", partition, "why", why)
	t.tenure = tenure{}
	t.owning.Store(false)
	t.take(ctx)
}

// begin starts the tenure, now that the tail has reached its mark.
func (t *timer) begin(ten tenure) {
	t.tenure = ten
	t.owning.Store(true)
	t.saw(ten.fence)
	t.log.Info("firing", "partition", partition, "fence", ten.fence)
	var claims []doubtful
	for seq, c := range t.agenda.firing {
		switch {
		case c.epoch >= ten.fence:
		case seq <= ten.mark:
			claims = append(claims, doubtful{seq: seq, firesAfter: c.firesAfter})
		default: // cannot be in FIRES
			t.start(func(ctx context.Context) { t.resume(ctx, seq, ten, false) })
		}
	}
	t.start(func(ctx context.Context) { t.settleClaims(ctx, ten, claims) })
}

// refused is called when the fence did not let a fire through: either it is an
// older one of our own, and the routine deals with the claim, or somebody else
// is the owner.
func (t *timer) refused(ctx context.Context, ten tenure) {
	if t.deposed(ctx, ten.fence) {
		select {
		case t.lost <- ten:
		case <-ctx.Done():
		}
	}
}

// marked takes in an owner's mark. One under a newer fence than ours is that of
// our successor, who may learn of our last claims only if we make no more: to
// be refused is not enough, since an owner without fires to publish never is.
func (t *timer) marked(epoch uint64) {
	if t.next != nil && epoch > t.next.fence {
		t.next = nil
		t.stopOwning()
	}
	if t.tenure.fence > 0 && epoch > t.tenure.fence {
		t.stopOwning()
	}
}

// depose ends the tenure if it is still the one that was refused.
func (t *timer) depose(ten tenure) {
	if t.tenure == ten {
		t.stopOwning()
	}
}

func (t *timer) stopOwning() {
	t.tenure = tenure{}
	t.owning.Store(false)
	t.log.Error("another process fires this partition now; this one has stopped", "partition", partition)
}
