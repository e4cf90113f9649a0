package timer

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/loglimit"
	"belfry/streams/due"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// A timer takes its partition over in five steps: at a start, when it follows another
// owner, and when it is in doubt about its own last fires. Its writes of a moment ago are
// then no more certain than a dead owner's.
//
//  1. A new fence in FIRES. From then on the server refuses what an earlier owner
//     publishes.
//  2. A mark in the jobs bucket. A claim of an earlier owner behind it was answered when
//     the fence was already there, so its fire cannot be in FIRES.
//  3. The tail up to the mark, which brings every claim before it.
//  4. The claims of other epochs are settled by what FIRES holds up to the fence.
//  5. A claim of another epoch that the tail brings behind the mark is published: its fire
//     is missing for certain.
//
// The same steps are the routine for doubt. The first two are in this file; the loop
// waits for the third, and the others are in settle.go.

// take starts to take the partition over in a goroutine, after a while. It replaces a
// takeover that is under way.
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

// fenceAndMark takes the partition: first the fence, then the mark. It repeats until it
// has both, or ctx ends.
func (t *Timer) fenceAndMark(ctx context.Context) (tenure, bool) {
	pause := journal.NewBackOff(50*time.Millisecond, 2*time.Second)
	for ctx.Err() == nil {
		ten, err := t.tryFenceAndMark(ctx)
		if err == nil {
			t.meter.FenceTaken()
			return ten, true
		}
		if ctx.Err() == nil {
			t.idle.noFence(err)
		}
		if !journal.IsLogged(err) {
			loglimit.Warn(t.log, "couldn't take the partition yet", "partition", t.partition, "error", err)
		}
		journal.Sleep(ctx, pause.NextBackOff())
	}
	return tenure{}, false
}

func (t *Timer) tryFenceAndMark(ctx context.Context) (ten tenure, err error) {
	if ten.fence, err = t.takeFence(ctx); err != nil {
		return ten, err
	}
	// A second mark after a lost answer does no harm: the last one counts.
	ten.mark, err = t.w.Send(ctx, &nats.Msg{
		Subject: t.w.Names.MarkSubject(t.partition),
		Header:  nats.Header{wire.HeaderEpoch: {wire.FormatUint(ten.fence)}},
	})
	return ten, err
}

// takeFence writes the fence, and returns its sequence.
func (t *Timer) takeFence(ctx context.Context) (uint64, error) {
	op := rand.Text()
	last, _, err := t.w.LastOnLeader(ctx, t.w.Names.FiresStream(), t.w.Names.FenceSubject(t.partition))
	if err != nil {
		return 0, err
	}
	seq, err := t.w.Send(ctx, &nats.Msg{
		Subject: t.w.Names.FenceSubject(t.partition),
		Header: nats.Header{
			wire.HeaderOp:               {op},
			wire.HeaderExpectSubjectSeq: {wire.FormatUint(last.Seq)},
			wire.HeaderRollup:           {"sub"},
			wire.HeaderTTL:              {"never"},
		},
	})
	if err == nil {
		t.fences.note(seq)
	}
	if !errors.Is(err, journal.ErrNoAnswer) {
		return seq, err
	}
	t.fences.noAnswer()
	last, found, readErr := t.w.LastOnLeader(ctx, t.w.Names.FiresStream(), t.w.Names.FenceSubject(t.partition))
	if readErr == nil && found && last.Header.Get(wire.HeaderOp) == op {
		t.fences.note(last.Seq)
		return last.Seq, nil
	}
	return 0, err
}

// taken adopts a fence and a mark, unless there are newer ones.
func (t *Timer) taken(ten tenure) {
	if t.wanted && ten.fence > t.tenure.fence && (t.next == nil || ten.fence > t.next.fence) {
		t.next = &ten
	}
}

// reach begins the tenure that was taken once the tail has reached its mark.
func (t *Timer) reach() {
	switch {
	case t.next == nil:
	case t.seen >= t.next.mark:
		ten := *t.next
		t.next = nil
		t.beginTenure(ten)
	default:
		t.idle.reads(t.seen, t.next.mark)
	}
}

// beginTenure starts the tenure after the tail has reached its mark.
func (t *Timer) beginTenure(ten tenure) {
	t.tenure, t.began = ten, t.now()
	t.owning.Store(true)
	t.firesSeen.Store(ten.fence) // a higher one belongs to a FIRES that was lost
	t.log.Info("firing", "partition", t.partition, "fence", ten.fence)
	t.unsettled = map[uint64]struct{}{}
	var claims []doubtful
	t.queue.EachClaim(func(seq uint64, c due.Claim, bytes int) {
		// A higher epoch than ours belongs to a FIRES that was lost. If it is a
		// successor's instead, the successor's fence refuses what we publish.
		if c.Epoch == ten.fence {
			return
		}
		t.unsettled[seq] = struct{}{}
		claims = append(claims, doubtful{
			seq: seq, due: c.Due, route: c.Route, firesAfter: c.FiresAfter, behind: seq > ten.mark, bytes: bytes,
		})
	})
	t.start(func(ctx context.Context) { t.settleClaims(ctx, ten, claims) })
}
