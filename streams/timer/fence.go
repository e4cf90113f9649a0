package timer

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/loglimit"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// fenceAndMark takes the partition: first the fence, then the mark. It goes on until it
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

// refusal is why the server refused a fire.
type refusal int

const (
	// forNothing: our fence is the last, or unknown to a leader that is behind;
	// the fire can be sent again.
	forNothing refusal = iota
	// forFence: another fence is the last.
	forFence
	// forUnknown: the fence is gone or cannot be read, or another server may
	// have taken the fire.
	forUnknown
)

// whyRefused finds out why a fire under our fence was refused. The server gives
// the same answer for a fence that differs, for one that it could not read,
// and on replicas while another fire is under way.
//
// On replicas two servers can take themselves for the leader, when one of them
// wakes up or was cut off. Both get the fire then; the old leader refuses it at
// once, by what it last knew, while the new one is about to store it. So only
// a newer fence is a reason that can be believed.
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
