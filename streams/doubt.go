package streams

import (
	"context"
	"sync"
	"time"
)

// The routine for doubt, which is the routine for taking over: a new fence, a
// mark in the jobs bucket, the tail up to the mark, and then every claim of an
// earlier epoch is settled by what FIRES holds. It serves start, takeover, a
// missing answer and a reconnect alike.

// calmTenure is how long a tenure lasts that is no sign of trouble.
const calmTenure = 10 * time.Second

// take begins the routine beside the loop, after a while, in place of one that is
// under way.
func (t *timer) take(ctx context.Context, after time.Duration) {
	t.stopTake()
	ctx, t.stopTake = context.WithCancel(ctx)
	t.start(func(context.Context) {
		if !sleep(ctx, after) {
			return
		}
		if ten, ok := t.own(ctx); ok {
			select {
			case t.tenures <- ten:
			case <-ctx.Done():
			}
		}
	})
}

// order makes the timer take its partition, or let go of it.
type order struct {
	own  bool
	done chan struct{} // for a release: closed once the last fires are through
}

// obey carries out an order, in the loop.
func (t *timer) obey(ctx context.Context, o order) {
	switch {
	case o.own && !t.wanted:
		t.wanted = true
		t.replaced.Store(false)
		t.take(ctx, 0)
	case !o.own:
		t.wanted = false
		t.stopTake()
		t.tenure, t.next = tenure{}, nil
		t.owning.Store(false)
		t.releases = append(t.releases, o.done)
	}
}

// letGo answers releases once no fire is under way, so that the successor
// finds nothing half done.
func (t *timer) letGo() {
	if len(t.releases) == 0 || t.firing.Load() > 0 || !t.finisher.idle() {
		return
	}
	for _, done := range t.releases {
		close(done)
	}
	t.releases = nil
}

// doubts are those that fires have left: of the newest tenure, since the routine
// of a newer one has looked into all that came before. It is safe for concurrent
// use.
type doubts struct {
	mu    sync.Mutex // guards what follows
	fence uint64     // of the tenure
	why   string
}

func (d *doubts) raise(fence uint64, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if fence >= d.fence {
		d.fence, d.why = fence, why
	}
}

// about returns why the tenure under the fence is in doubt, or nothing.
func (d *doubts) about(fence uint64) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fence != fence {
		return ""
	}
	return d.why
}

// inDoubt asks the loop for the routine, for the sake of a fire of the tenure.
func (t *timer) inDoubt(why string, ten tenure) {
	t.doubts.raise(ten.fence, why)
	select {
	case t.doubted <- struct{}{}:
	default:
	}
}

// doubt ends the tenure and begins the routine, unless it is under way. What ends
// one tenure soon may end the next one too, so they are spaced out.
func (t *timer) doubt(ctx context.Context, why string) {
	if t.tenure.fence == 0 {
		return // on standby, or about to own under a new fence anyway
	}
	t.log.Warn("in doubt about the last fires; taking a new fence", "partition", t.partition, "why", why)
	t.meter.Doubted()
	t.tenure = tenure{}
	t.owning.Store(false)
	if t.now().Sub(t.began) > calmTenure {
		t.pace.Reset()
	}
	t.take(ctx, t.pace.NextBackOff())
}

// begin starts the tenure, now that the tail has reached its mark.
func (t *timer) begin(ten tenure) {
	t.tenure, t.began = ten, t.now()
	t.owning.Store(true)
	t.saw(ten.fence)
	t.log.Info("firing", "partition", t.partition, "fence", ten.fence)
	t.unsettled = map[uint64]struct{}{}
	var claims []doubtful
	for seq, c := range t.agenda.firing {
		// A higher epoch than ours is that of a FIRES which was lost. Should
		// it be a successor's, then its fence refuses what we publish.
		if c.epoch == ten.fence {
			continue
		}
		t.unsettled[seq] = struct{}{}
		claims = append(claims, doubtful{
			seq: seq, due: c.due, route: c.route, firesAfter: c.firesAfter, behind: seq > ten.mark,
		})
	}
	t.start(func(ctx context.Context) { t.settleClaims(ctx, ten, claims) })
}

// refused deals with a fire that the server refused, and reports whether its
// claim is somebody else's to deal with now: the routine's, under a newer fence
// of our own, or that of another owner.
func (t *timer) refused(ctx context.Context, ten tenure) bool {
	// All fires of a batch ask the same.
	why, _, _ := t.asking.Do(formatUint(ten.fence), func() (any, error) { return t.whyRefused(ctx, ten.fence), nil })
	switch why {
	case forFence:
		select {
		case t.lost <- ten:
		case <-ctx.Done():
		}
		return true
	case forUnknown:
		t.inDoubt("a fire was refused, and not for a newer fence", ten)
		return true
	}
	return false
}

// marked takes in an owner's mark. One under a newer fence than ours is that of
// our successor, who may learn of our last claims only if we make no more: to
// be refused is not enough, since an owner without fires to publish never is.
func (t *timer) marked(epoch uint64) {
	if t.next != nil && epoch > t.next.fence || t.tenure.fence > 0 && epoch > t.tenure.fence {
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
	t.stopTake()
	t.tenure, t.next = tenure{}, nil
	t.wanted = false
	t.owning.Store(false)
	t.replaced.Store(true)
	t.log.Warn("another process fires this partition now; this one has stopped", "partition", t.partition)
}
