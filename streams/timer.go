package streams

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/singleflight"

	"belfry/internal/job"
)

// timer owns a partition and fires its jobs: it follows the jobs bucket, keeps
// an agenda, and sleeps until the next job is due.
type timer struct {
	partition  int
	replicated bool // the streams have more than one replica

	cfg    Config
	log    *slog.Logger
	now    func() time.Time
	js     jetstream.JetStream
	w      *writer
	jobs   *Jobs
	routes *RouteCache
	dead   *deadLetters

	inboxes *Inboxes
	meter   meter

	breakers *Breakers
	rates    *rates

	// The loop's own; only run touches them.
	agenda   *agenda
	seen     uint64 // the last sequence that the tail brought
	tailed   <-chan tailed
	stopTail context.CancelFunc
	state    leaderState     // as of the last check of the tail
	checked  uint64          // what was seen then
	tenure   tenure          // zero while we are not the owner
	began    time.Time       // the last tenure did
	stopTake func()          // ends the routine that is under way, if one is
	pace     backoff.BackOff // of tenures that end in doubt at once
	// unsettled are the claims of other epochs that are being looked into.
	unsettled map[uint64]struct{}
	next      *tenure // taken, but the tail has not reached its mark
	wanted    bool    // we are to own the partition, and do or try to
	holds     holds   // for the sake of restores

	releases []chan struct{} // closed once the last fires are through

	firing    atomic.Int64              // how many fires are under way
	finisher  finisher                  // of those that are published
	book      atomic.Pointer[claimBook] // the agenda's
	owning    atomic.Bool               // whether tenure is set, for others to ask
	doubts    doubts                    // about our fires
	asking    singleflight.Group        // for what a fire was refused
	replaced  atomic.Bool               // somebody else took the partition from us
	firesSeen atomic.Uint64             // the highest sequence seen in FIRES

	loads   chan loaded
	permits chan permitted
	claims  chan claimResult
	doubted chan struct{} // doubts has something
	tenures chan tenure
	lost    chan tenure
	settled chan uint64
	ended   chan struct{} // a fire came to its end, or its final state is written
	orders  chan order
	states  chan leaderState
	freed   chan string // restores that are through

	work     context.Context // of all that start begins
	stopWork context.CancelFunc
	working  sync.WaitGroup
}

// claimResult tells the loop of a claim that was not made. One that was made
// the tail brings.
type claimResult struct {
	seq   uint64
	moved bool // the record has another revision; else try again
}

// shutdownPatience is how long begun fires may take when the timer stops.
const shutdownPatience = 2 * time.Second

func newTimer(s *Store, partition int) *timer {
	t := &timer{
		partition: partition, replicated: s.replicas > 1,
		cfg: s.cfg, log: s.cfg.Log, now: s.cfg.Now, js: s.js, w: s.jobs.w,
		jobs: s.jobs, routes: s.routes.cache, dead: s.dead, inboxes: s.inboxes,
		breakers: s.breakers, rates: s.rates,
		meter:   newMeter(s.cfg.Metrics, partition, s.cfg.Now()),
		loads:   make(chan loaded, maxLoading),
		permits: make(chan permitted),
		claims:  make(chan claimResult, maxFiring),
		doubted: make(chan struct{}, 1),
		tenures: make(chan tenure),
		lost:    make(chan tenure),
		settled: make(chan uint64, settlers),
		ended:   make(chan struct{}, 1),
		orders:  make(chan order),
		states:  make(chan leaderState),
		pace:    newBackOff(10*time.Millisecond, 2*time.Second),

		stopTake: func() {},
		freed:    make(chan string),
	}
	t.newAgenda()
	return t
}

func (t *timer) newAgenda() {
	t.agenda = newAgenda(t.opening)
	t.book.Store(t.agenda.book)
}

// owns reports whether the timer fires what comes due.
func (t *timer) owns() bool { return t.owning.Load() }

// run fires due jobs until ctx ends, and returns when the fires it has begun
// are through.
func (t *timer) run(ctx context.Context) {
	t.work, t.stopWork = context.WithCancel(context.WithoutCancel(ctx))
	defer t.drain()
	if t.routes.wait(ctx) != nil || t.breakers.wait(ctx) != nil {
		return // stopped before it began
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	t.follow(following)
	t.start(func(context.Context) { t.askState(following) })
	reconnects := t.w.nc.StatusChanged(nats.CONNECTED)
	defer t.w.nc.RemoveStatusListener(reconnects)

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
		case s := <-t.states:
			t.compare(following, s)
		case l := <-t.loads:
			t.took(l)
			for n := len(t.loads); n > 0; n-- {
				t.took(<-t.loads)
			}
		case p := <-t.permits:
			t.agenda.permitted(p.route, p.permits, t.now())
		case c := <-t.claims:
			if c.moved {
				t.agenda.gone(c.seq)
			} else {
				t.agenda.failed(c.seq, t.now().Add(time.Second))
			}
		case <-t.doubted:
			if why := t.doubts.about(t.tenure.fence); why != "" {
				t.doubt(ctx, why)
			}
		case <-reconnects:
			t.doubt(ctx, "the connection was lost")
		case ten := <-t.tenures:
			if t.wanted && ten.fence > t.tenure.fence && (t.next == nil || ten.fence > t.next.fence) {
				t.next = &ten
			}
		case ten := <-t.lost:
			t.depose(ten)
		case o := <-t.orders:
			t.obey(ctx, o)
		case run := <-t.freed:
			t.holds.end(run)
		case seq := <-t.settled:
			delete(t.unsettled, seq)
		case <-t.ended:
		case <-wake.C:
		}
		t.step(ctx)
		wake.Reset(t.untilNext())
	}
}

// step does what the agenda has for this moment.
func (t *timer) step(ctx context.Context) {
	if t.next != nil && t.seen >= t.next.mark {
		t.begin(*t.next)
		t.next = nil
	}
	t.finishSome(len(t.releases) > 0)
	t.letGo()
	t.meter.look(t.agenda, t.owns(), t.now())
	if !t.wanted {
		return // on standby
	}
	for _, seq := range t.agenda.toLoad(t.now()) {
		t.beginLoad(seq)
	}
	if !t.mayFire() {
		return
	}
	t.askPermits()
	ten := t.tenure
	for _, r := range t.agenda.toFire(t.now(), t.room()) {
		if _, unsettled := t.unsettled[r.Revision]; unsettled {
			t.agenda.failed(r.Revision, t.now().Add(time.Second))
			continue
		}
		if end, late := t.tooLate(r); late {
			t.expire(r, end)
			continue
		}
		t.fire(r, ten)
	}
}

// finishSome writes the ends of published fires, if it is time for it.
func (t *timer) finishSome(hurry bool) {
	busy := t.firing.Load() >= maxFiring/4
	for _, claim := range t.finisher.take(t.now(), busy, hurry) {
		t.finishPublished(claim)
	}
}

// mayFire reports whether claims may be made.
func (t *timer) mayFire() bool { return t.tenure.fence > 0 && !t.holds.any() }

// room is how many more fires may begin.
func (t *timer) room() int { return maxFiring - int(t.firing.Load()) }

// untilNext is how long nothing is to be done: at most a second, so that a
// step of the clock or a suspended machine delays nothing for longer.
func (t *timer) untilNext() time.Duration {
	wait := time.Second
	now := t.now()
	if at := t.agenda.nextLoad(); t.wanted && !at.IsZero() {
		wait = min(wait, at.Sub(now))
	}
	if at := t.agenda.nextFire(); !at.IsZero() && t.mayFire() && t.room() > 0 {
		wait = min(wait, at.Sub(now))
	}
	if at := t.agenda.nextOpening(now); !at.IsZero() && t.mayFire() {
		wait = min(wait, at.Sub(now))
	}
	if at := t.finisher.next(); !at.IsZero() && t.firing.Load() < maxFiring/4 {
		wait = min(wait, at.Sub(now))
	}
	return max(wait, 0)
}

func (t *timer) observe(m tailed) {
	t.seen = m.seq
	switch m.kind {
	case isMark:
		t.marked(m.rec.Epoch)
	case isDeleted:
		t.agenda.overtaken(m.rec.Key, m.seq)
	case isUnknown:
		t.agenda.observeUnknown(m.rec)
	case isRecord:
		t.holdFor(m.restore)
		t.agenda.observe(m.rec)
		t.meter.ended(m.rec, t.wanted)
		// Behind our mark a claim of an earlier epoch has no fire yet, and
		// its owner can publish none.
		if m.rec.Status == job.Firing && t.tenure.fence > 0 && m.rec.Epoch != t.tenure.fence {
			ten := t.tenure
			c := doubtful{seq: m.seq, due: m.rec.Due, route: m.rec.RouteKey(), behind: true}
			t.unsettled[m.seq] = struct{}{}
			t.start(func(ctx context.Context) { t.settle(ctx, c, ten, false) })
		}
	}
}

func (t *timer) took(l loaded) {
	switch {
	case l.gone:
		t.agenda.gone(l.seq)
	case l.err != nil:
		t.log.Warn("couldn't load a job yet", "error", l.err)
		t.agenda.failed(l.seq, t.now().Add(time.Second))
	default:
		t.agenda.took(l.rec, t.now())
	}
}

// start runs do beside the loop, to be waited for at the end.
func (t *timer) start(do func(context.Context)) {
	t.working.Go(func() { do(t.work) })
}

// drain lets what was begun come to its end, for a bounded time.
func (t *timer) drain() {
	t.owning.Store(false)
	patience := time.AfterFunc(shutdownPatience, t.stopWork)
	defer patience.Stop()
	for t.finishSome(true); t.firing.Load() > 0 || !t.finisher.idle(); t.finishSome(true) {
		select {
		case <-t.ended:
			continue
		case <-t.work.Done():
		}
		break
	}
	t.working.Wait()
	t.stopWork()
}

// report tells the loop of a claim that was not made.
func (t *timer) report(ctx context.Context, c claimResult) {
	select {
	case t.claims <- c:
	case <-ctx.Done():
	}
}
