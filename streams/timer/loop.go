package timer

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// Run fires due jobs until ctx ends. It returns when the fires that it has begun are
// finished.
func (t *Timer) Run(ctx context.Context) {
	t.work, t.stopWork = context.WithCancel(context.WithoutCancel(ctx))
	defer t.drain()
	defer close(t.over)
	ctx, stop := context.WithCancel(ctx)
	defer stop() // stops the tail, even if the loop panics
	t.idle.set(WaitsForRoutes, "")
	if t.routes.Wait(ctx) != nil {
		return // stopped before it began
	}
	t.idle.set(WaitsForBreakers, "")
	if t.breakers.Wait(ctx) != nil {
		return
	}
	t.idle.set(NotOrdered, "")
	t.follow(ctx)
	t.start(func(context.Context) { t.askState(ctx) })
	reconnects := t.w.NC.StatusChanged(nats.CONNECTED)
	defer t.w.NC.RemoveStatusListener(reconnects)

	wake := time.NewTimer(0)
	defer wake.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-t.tailed:
			t.observe(m)
			for n := len(t.tailed); n > 0; n-- {
				t.observe(<-t.tailed)
			}
		case l := <-t.loads:
			t.took(l)
			for n := len(t.loads); n > 0; n-- {
				t.took(<-t.loads)
			}
		case do := <-t.events:
			do(ctx)
			for n := 0; n < maxEvents && t.tookEvent(ctx); n++ {
			}
		case <-reconnects:
			// The tail may be waiting for an answer that was lost, and a new fence waits
			// for the tail.
			t.follow(ctx)
			t.doubt(ctx, "the connection was lost")
		case <-t.ended:
		case <-wake.C:
		}
		t.step(ctx)
		wake.Reset(t.untilNext())
	}
}

// maxEvents is how many more events are handled before the loop does its work.
const maxEvents = 256

// tookEvent runs an event that a goroutine has posted, and reports whether there was one.
func (t *Timer) tookEvent(ctx context.Context) bool {
	select {
	case do := <-t.events:
		do(ctx)
		return true
	default:
		return false
	}
}

// post makes the loop call do with the loop's context. It returns when the loop has taken
// do. It returns false if the loop or ctx has ended. The loop itself must not call post.
func (t *Timer) post(ctx context.Context, do func(context.Context)) bool {
	select {
	case t.events <- do:
		return true
	case <-t.over:
	case <-ctx.Done():
	}
	return false
}

// step does what the queue wants at this moment.
func (t *Timer) step(ctx context.Context) {
	t.reach()
	t.finishSome(len(t.releases) > 0)
	t.letGo()
	t.meter.look(t.queue, t.Owns(), t.wanted || t.unleased.Load(), t.now())
	if !t.active() {
		t.unloadIdle()
		return
	}
	t.loadSome()
	if !t.mayFire() {
		return
	}
	t.askPermits()
	ten := t.tenure
	for _, r := range t.toFire() {
		if _, unsettled := t.unsettled[r.Revision]; unsettled {
			t.inFlight.Give(r)
			t.queue.RetryAt(r.Revision, t.now().Add(time.Second))
			continue
		}
		if end, late := t.tooLate(r); late {
			t.firing.Add(1) // until fireEnded
			t.begin(t.expire(r, end))
			continue
		}
		t.fire(r, ten)
	}
}

// loadSome begins to load the records that the queue wants. If room is given back
// meanwhile, it wakes the loop again: a record may have been refused room just before.
func (t *Timer) loadSome() {
	t.hungry.Store(true)
	for _, seq := range t.queue.ToLoad(t.now()) {
		t.beginLoad(seq)
	}
	t.hungry.Store(t.queue.Hungry())
}

// finishSome writes the ends of published fires, if it is time.
func (t *Timer) finishSome(hurry bool) {
	busy := t.firing.Load() >= maxFiring/4
	for _, claim := range t.finisher.take(t.now(), busy, hurry) {
		t.begin(t.finish(claim))
	}
}

// active reports whether there is anything to do for jobs. There is not on standby,
// without a connection, or while no claim can be written. A reconnect wakes the loop, and
// so does an answer to a write.
func (t *Timer) active() bool { return t.wanted && t.w.NC.IsConnected() && !t.stalled() }

// mayFire reports whether claims may be made.
func (t *Timer) mayFire() bool { return t.tenure.fence > 0 && !t.holds.any() }

// untilNext is how long there is nothing to do: at most a second, so that a step of the
// clock or a suspended machine delays nothing for longer.
func (t *Timer) untilNext() time.Duration {
	wait := time.Second
	now, active := t.now(), t.active()
	if at := t.queue.NextLoad(); active && !at.IsZero() {
		wait = min(wait, at.Sub(now))
	}
	due := int64(0)
	if at := t.queue.NextFire(); active && !at.IsZero() && t.mayFire() && t.mayFireMore() {
		wait = min(wait, at.Sub(now))
		due = at.UnixMilli()
	}
	t.nextDue.Store(due)
	if at := t.queue.NextOpening(now); active && !at.IsZero() && t.mayFire() {
		wait = min(wait, at.Sub(now))
	}
	if at := t.finisher.next(); !at.IsZero() && t.firing.Load() < maxFiring/4 {
		wait = min(wait, at.Sub(now))
	}
	return max(wait, 0)
}

func (t *Timer) observe(m tailed) {
	t.seen = m.seq
	switch m.kind {
	case isMark:
		t.marked(m.rec.Epoch)
	case isDeleted:
		t.queue.DropOvertaken(m.rec.Key, m.seq)
	case isUnknown:
		t.queue.ObserveUnknown(m.rec)
	case isRecord:
		t.holdFor(m.restore)
		m.rec = t.honest(m.rec)
		t.queue.Observe(m.rec)
		t.queue.Weigh(m.rec, m.bytes)
		t.meter.ended(m.rec, t.wanted)
		t.settleBehind(m.rec, m.bytes)
	}
}

func (t *Timer) took(l loaded) {
	switch {
	case l.gone:
		t.queue.Remove(l.seq)
	case l.err != nil:
		t.complain("couldn't load a job yet", "error", l.err)
		t.queue.RetryAt(l.seq, t.now().Add(time.Second))
	default:
		t.queue.SetLoaded(t.honest(l.rec), t.now())
	}
}
