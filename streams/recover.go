package streams

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
)

// scanFirst is how many of the newest fires are searched before the rest.
const scanFirst = 100_000

// doubtful is a claim of an earlier epoch: its fire may or may not be in
// FIRES, behind firesAfter and before our fence.
type doubtful struct {
	seq        uint64
	firesAfter uint64
}

// settleClaims finds out what became of the fires of doubtful claims: it reads
// FIRES up to the fence, behind which the earlier owner is refused. Those that
// are there are left to their workers, or finished for a NATS route; those
// missing are published. The newest fires are read first, since the claims of
// a moment ago are the ones that are most likely late.
func (t *timer) settleClaims(ctx context.Context, ten tenure, claims []doubtful) {
	if len(claims) == 0 {
		return
	}
	t.log.Info("settling the claims of the last owner", "partition", t.partition, "claims", len(claims))
	split := uint64(1)
	if ten.fence > scanFirst {
		split = ten.fence - scanFirst
	}
	var newer, older []doubtful
	lowest := ten.fence
	for _, c := range claims {
		if c.firesAfter+1 >= split {
			newer = append(newer, c)
		} else {
			older = append(older, c)
		}
		lowest = min(lowest, c.firesAfter+1)
	}
	found := map[uint64]bool{}
	if !t.scanFires(ctx, max(lowest, split), ten.fence, found) {
		return
	}
	t.settleEach(ctx, ten, newer, found)
	if len(older) > 0 && t.scanFires(ctx, lowest, split, found) {
		t.settleEach(ctx, ten, older, found)
	}
}

func (t *timer) settleEach(ctx context.Context, ten tenure, claims []doubtful, found map[uint64]bool) {
	for _, c := range claims {
		t.start(func(ctx context.Context) { t.resume(ctx, c.seq, ten, found[c.seq]) })
	}
}

// resume goes on with a claim that an earlier owner made: publishes its fire,
// or, when that is published, finishes what the worker does not.
func (t *timer) resume(ctx context.Context, seq uint64, ten tenure, published bool) {
	pause := newBackOff(50*time.Millisecond, 2*time.Second)
	for {
		l := t.load(ctx, seq)
		switch {
		case l.gone || l.err == nil && l.rec.Status != job.Firing:
			return
		case l.err == nil && !published:
			t.publish(ctx, l.rec, ten)
			return
		case l.err == nil:
			if r, err := t.routes.Get(ctx, l.rec.RouteKey()); err == nil && r.Type == job.NATS {
				t.finish(ctx, l.rec, job.Result{Status: job.Published})
			}
			return
		}
		if !sleep(ctx, pause.NextBackOff()) {
			return
		}
	}
}

// scanFires notes the claims of all fires from one sequence up to another. It
// goes on until it has read them all, or ctx ends.
func (t *timer) scanFires(ctx context.Context, from, to uint64, found map[uint64]bool) bool {
	pause := newBackOff(50*time.Millisecond, 2*time.Second)
	for {
		err := t.scanFiresOnce(ctx, from, to, found)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		t.log.Warn("couldn't read the last fires yet", "err", err)
		sleep(ctx, pause.NextBackOff())
	}
}

func (t *timer) scanFiresOnce(ctx context.Context, from, to uint64, found map[uint64]bool) error {
	c, err := t.js.OrderedConsumer(ctx, FiresStream, jetstream.OrderedConsumerConfig{
		HeadersOnly:   true,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   max(from, 1),
	})
	if err != nil {
		return err
	}
	messages, err := c.Messages(jetstream.PullHeartbeat(tailHeartbeat))
	if err != nil {
		return err
	}
	defer messages.Stop()
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	// The message at to, or one behind it, is there: our fence, or the one
	// that replaced it.
	for {
		m, err := messages.Next()
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		p := headerParser{h: m.Headers()}
		if claim := p.uint(hdrClaim); claim > 0 {
			found[claim] = true
		}
		if meta.Sequence.Stream >= to {
			return nil
		}
	}
}
