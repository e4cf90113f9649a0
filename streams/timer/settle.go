package timer

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"belfry/internal/job"
	"belfry/internal/loglimit"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// scanFirst is how many of the newest fires are searched before the rest.
const scanFirst = 100_000

// settlers is how many claims are settled at once.
const settlers = 64

// doubtful is a claim of an epoch other than ours: its fire may or may not be in FIRES,
// after firesAfter and before our fence.
type doubtful struct {
	seq        uint64
	due        int64 // when its fire counts as lost and the job is claimed anew
	route      job.RouteKey
	firesAfter uint64
	bytes      int  // the size of the record, if it is large
	behind     bool // behind our mark, so its fire cannot be in FIRES
}

// settleClaims resolves the outcome of the fires of doubtful claims. It reads FIRES up to
// the fence, behind which the earlier owner is refused. Fires that are there are left to
// their workers, or finished for a NATS route; missing fires are published. The newest
// fires are read first, since the claims of a moment ago are the most likely to be late.
func (t *Timer) settleClaims(ctx context.Context, ten tenure, claims []doubtful) {
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
		if c.behind || c.firesAfter+1 >= split {
			newer = append(newer, c)
		} else {
			older = append(older, c)
		}
		lowest = min(lowest, c.firesAfter+1)
	}
	published := make(map[uint64]uint64, len(claims)) // the fires by claim, as far as FIRES was read
	for _, c := range claims {
		published[c.seq] = 0
	}
	if !t.scanFires(ctx, max(lowest, split), ten.fence, published) {
		return
	}
	t.settleEach(ctx, ten, newer, published)
	if len(older) > 0 && t.scanFires(ctx, lowest, split, published) {
		t.settleEach(ctx, ten, older, published)
	}
}

func (t *Timer) settleEach(ctx context.Context, ten tenure, claims []doubtful, published map[uint64]uint64) {
	var g errgroup.Group
	g.SetLimit(settlers)
	for _, c := range claims {
		g.Go(func() error { t.settle(ctx, c, ten, published[c.seq]); return nil })
	}
	g.Wait() // they return no errors: each repeats until it is done
}

// settle completes one claim of another epoch. It publishes the claim's fire. If fire
// says that the fire is published already, settle finishes it when no worker will. The
// claim is not made anew until then, or its fire could end up in FIRES twice. An overdue
// claim without a fire is left to be claimed anew.
func (t *Timer) settle(ctx context.Context, c doubtful, ten tenure, fire uint64) {
	defer t.post(ctx, func(context.Context) {
		if t.tenure == ten { // the next tenure may look into the same claim
			delete(t.unsettled, c.seq)
		}
	})
	published := fire != 0
	if published && !t.native(ctx, c.route) {
		t.fireSeqs.note(c.seq, fire)
		return
	}
	if !published && c.due <= t.now().Add(journal.AnswerWait).UnixMilli() {
		return
	}
	giveBack, ok := t.inFlight.Wait(ctx, c.route, c.bytes)
	if !ok {
		return
	}
	defer giveBack()
	pause := journal.NewBackOff(50*time.Millisecond, 2*time.Second)
	for {
		l := t.load(ctx, c.seq)
		switch {
		case l.gone || l.err == nil && l.rec.Status != job.Firing:
			return
		case l.err == nil && published:
			t.finishNow(ctx, l.rec, job.Result{Status: job.Published})
			return
		case l.err == nil:
			t.publishNow(ctx, l.rec, ten)
			return
		}
		if !journal.Sleep(ctx, pause.NextBackOff()) {
			return
		}
	}
}

// native reports whether a published fire of the route is for subscribers. If the route
// is gone, its inbox still tells.
func (t *Timer) native(ctx context.Context, k job.RouteKey) bool {
	pause := journal.NewBackOff(50*time.Millisecond, 2*time.Second)
	for {
		r, err := t.routes.Get(ctx, k)
		switch {
		case err == nil:
			return r.Type == job.NATS
		case errors.Is(err, job.ErrRouteNotFound), errors.Is(err, job.ErrNotARoute):
			box, err := t.inboxes.Find(ctx, k)
			if err == nil || errors.Is(err, jetstream.ErrConsumerNotFound) {
				return box.Type == job.NATS
			}
		}
		if !journal.Sleep(ctx, pause.NextBackOff()) {
			return false
		}
	}
}

// scanFires sets which of the claims in published have a fire between two sequences. It
// repeats until it has read them all, or ctx ends.
func (t *Timer) scanFires(ctx context.Context, from, to uint64, published map[uint64]uint64) bool {
	pause := journal.NewBackOff(50*time.Millisecond, 2*time.Second)
	for {
		err := t.scanFiresOnce(ctx, from, to, published)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		loglimit.Warn(t.log, "couldn't read the last fires yet", "error", err)
		journal.Sleep(ctx, pause.NextBackOff())
	}
}

func (t *Timer) scanFiresOnce(ctx context.Context, from, to uint64, published map[uint64]uint64) error {
	return t.inOrder().Read(ctx, t.w.Names.FiresStream(), from, func(m jetstream.Msg, at *jetstream.MsgMetadata) bool {
		// A revision means nothing outside its partition, and a restored fire has a
		// revision of another server.
		f, err := wire.DecodeFire(m.Headers(), nil, at.Sequence.Stream, at.Timestamp)
		restored := m.Headers().Get(wire.HeaderRestore) != ""
		if err == nil && !restored && wire.PartitionOf(f.Key, t.partitions) == t.partition {
			if _, asked := published[f.Claim]; asked {
				published[f.Claim] = at.Sequence.Stream
			}
		}
		// The message at to, or a later one, exists: it is our fence, or the one that
		// replaced it.
		return at.Sequence.Stream < to
	})
}

// settleBehind settles a claim that the tail brings behind our mark. If it is of another
// epoch, its fire is not in FIRES, and its owner can publish none.
func (t *Timer) settleBehind(claim job.Record, bytes int) {
	if claim.Status != job.Firing || t.tenure.fence == 0 || claim.Epoch == t.tenure.fence {
		return
	}
	ten := t.tenure
	c := doubtful{seq: claim.Revision, due: claim.Due, route: claim.RouteKey(), bytes: bytes, behind: true}
	t.unsettled[c.seq] = struct{}{}
	t.start(func(ctx context.Context) { t.settle(ctx, c, ten, 0) })
}
