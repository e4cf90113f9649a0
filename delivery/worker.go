package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"belfry/internal/job"
	"belfry/internal/loglimit"
	"belfry/internal/metrics"
)

const (
	// holdEvery is how often a worker renews its hold on a fire.
	holdEvery = time.Second

	// lookupTime bounds all lookups before a POST.
	lookupTime = 5 * time.Second

	// writeTime bounds one write of a result, finishTime all its repeats.
	writeTime  = 5 * time.Second
	finishTime = 10 * time.Minute

	// maxTimes is how often a fire is handed out until it counts as a failed try, so
	// that a fault that keeps its worker from a result cannot hold it forever. Trouble
	// with the store uses some up: each is 3 s apart.
	maxTimes = 20
)

// worker handles one handover at a time.
type worker struct {
	Config
	webhook *webhook

	// stopping ends when a shutdown begins, tries when it cuts off the POSTs, and
	// writes when it gives up writing results. They are fields because handovers come
	// without a context.
	stopping, tries, writes context.Context

	busy sync.Map // Fire.Seq of the fires under way

	cut atomic.Int64 // how many tries a shutdown has cut off

	shortage shortageLog
}

// deliver does with a fire what its standing asks for. It calls posted when the POST
// is over and only the result remains to be stored.
func (w *worker) deliver(h job.Handover, b *breaker, posted func()) {
	// A worker cut off from the store may have lost its hold on the fire
	// while it still means to write the result. One POST is enough.
	if _, busy := w.busy.LoadOrStore(h.Seq, nil); busy {
		return
	}
	defer w.busy.Delete(h.Seq)
	defer w.hold(h)()

	var p putOffs
	for w.once(h, b, &p, posted) {
	}
}

// once makes one go at a fire. It reports whether this machine could not make the try
// and must have another go.
func (w *worker) once(h job.Handover, b *breaker, p *putOffs, posted func()) (again bool) {
	ctx, cancel := context.WithTimeout(w.tries, lookupTime)
	defer cancel()
	standing, rec, err := w.Jobs.Standing(ctx, p.judged(h.Fire))
	if err != nil {
		loglimit.Warn(w.log(h), "the standing of a fire is not known", "error", err)
		return false
	}
	switch standing {
	case job.Valid:
		return w.try(ctx, h, rec, b, p, posted)
	case job.Superseded:
		w.ack(h)
	case job.Buried:
		w.bury(h, job.Result{Status: job.Dead, Reason: rec.Reason, Detail: rec.Detail})
	case job.Undecided: // left unacked: its record may be on its way
	}
	return false
}

// hold keeps the fire from being handed out again until it is released. A worker that
// dies, or is cut off, no longer holds it, so another worker gets it seconds later,
// however long a try may take.
func (w *worker) hold(h job.Handover) (release func()) {
	var extend *time.Timer
	var mu sync.Mutex // guards extend
	mu.Lock()
	defer mu.Unlock()
	extend = time.AfterFunc(holdEvery, func() {
		if err := h.Extend(); err != nil {
			w.log(h).Debug("a fire could not be held on to", "error", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if extend != nil {
			extend.Reset(holdEvery)
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		extend.Stop()
		extend = nil
	}
}

// buryOrphan moves a fire of a deleted NATS route into DEAD.
func (w *worker) buryOrphan(h job.Handover) {
	w.bury(h, job.Result{Status: job.Dead, Reason: job.ReasonNoRoute})
}

// opening is how a try begins.
type opening struct {
	route   job.Route
	started time.Time
	ahead   time.Duration // how far the timer's clock is ahead
	late    time.Duration
}

// opening returns how the try of a valid fire begins, unless its result is settled or
// left to the next handover without a try. rec is the record of the fire's claim.
func (w *worker) opening(lookups context.Context, h job.Handover, rec job.Record, b *breaker, p *putOffs) (o opening, ok bool) {
	route, err := w.Routes.Get(lookups, h.RouteKey())
	if errors.Is(err, job.ErrRouteNotFound) {
		w.settle(h, job.Result{Status: job.Dead, Reason: job.ReasonNoRoute})
		return o, false
	}
	if err != nil {
		loglimit.Warn(w.log(h), "the route of a fire could not be read", "error", err)
		return o, false
	}
	o = opening{route: route, started: w.Now()}
	// Gates open by the clock of the timer's node. If that clock is ahead of ours, the
	// fire would be put back and fired again at once, until ours agrees.
	o.ahead = max(h.Fired.Sub(o.started), 0)
	at := o.started.Add(o.ahead)
	if route.PausedAt(at) || !w.mayTry(b, at, p) {
		w.settle(h, putBack(h, rec))
		return o, false
	}
	o.late = max(o.started.Sub(time.UnixMilli(dueOf(h, rec))), 0)
	if h.Attempt == 1 && route.MaxLateness > 0 && o.late > route.MaxLateness {
		w.settle(h, job.TooLate(o.late, route.MaxLateness))
		return o, false
	}
	return o, true
}

func dueOf(h job.Handover, rec job.Record) int64 { return cmp.Or(rec.Replaces.Due, h.Trigger) }

// putBack is the result of a fire without a try. Its due time stays the same, so that
// its lateness counts from then.
func putBack(h job.Handover, rec job.Record) job.Result {
	return job.Result{Status: job.Scheduled, RetryAt: dueOf(h, rec), Reason: rec.Reason, Detail: rec.Detail}
}

// try makes the one try that a valid fire stands for and settles its result. It
// reports the same as [worker.once].
func (w *worker) try(lookups context.Context, h job.Handover, rec job.Record, b *breaker, p *putOffs, posted func()) (again bool) {
	o, ok := w.opening(lookups, h, rec, b, p)
	if !ok {
		return false
	}
	stuck := fmt.Sprintf("handed out %d times without a result", h.Times)
	out, attempt := outcome{verdict: failed, detail: stuck}, job.Attempt{Error: stuck}
	if h.Times < maxTimes {
		out, attempt = w.post(o.route, h.Fire, o.started, o.late)
		if out.verdict == putOff {
			return w.putOff(h, rec, b, p, o.route, out.detail)
		}
		if out.verdict != interrupted {
			w.tried(b, endpointAlive(attempt.Status), o.started.Add(o.ahead), w.Now().Add(o.ahead))
		}
	}
	posted()
	switch out.verdict {
	case interrupted:
		w.interrupted(h)
		return false
	case failed:
		w.log(h).Debug("a try failed", "detail", out.detail)
	}
	attempt.Number, attempt.FireID, attempt.Started, attempt.Lateness = h.Attempt, h.Fire.FireID, o.started, o.late
	w.Attempts.Keep(h.Fire, attempt)
	retry := o.route.Retry
	if retry.IsZero() {
		retry = w.Retry
	}
	w.settle(h, out.result(h.Fire, retry, w.Now()))
	return false
}

// interrupted leaves a fire unacked, to be handed out again.
func (w *worker) interrupted(h job.Handover) {
	w.cut.Add(1)
	w.Metrics.Came(h.RouteKey(), metrics.Interrupted, false)
}

// settle writes a result and acks the fire. The result of a POST that was made must
// not be lost, so settle repeats the write while the store has trouble.
func (w *worker) settle(h job.Handover, res job.Result) {
	w.came(h.Fire, res)
	ctx, cancel := context.WithTimeout(w.writes, finishTime)
	defer cancel()
	repeated := false
	finish := func() error {
		ctx, cancel := context.WithTimeout(ctx, writeTime)
		defer cancel()
		err := w.Jobs.Finish(ctx, h.Fire, res)
		if err != nil && !passing(err) {
			return backoff.Permanent(err)
		}
		return err
	}
	tell := func(err error, _ time.Duration) {
		if !repeated {
			loglimit.Warn(w.log(h), "the result of a try is not written yet", "error", err)
		}
		repeated = true
	}
	if err := backoff.RetryNotify(finish, backoff.WithContext(storeBackOff(), ctx), tell); err != nil {
		loglimit.Error(w.log(h), "the result of a try could not be written; the try will be repeated", "error", err)
		return
	}
	w.ack(h)
}

// passing reports whether a failed write is worth repeating.
func passing(err error) bool {
	return errors.Is(err, job.ErrUnavailable) || errors.Is(err, job.ErrUnknownOutcome) ||
		errors.Is(err, context.DeadlineExceeded)
}

// bury writes the fire's copy in DEAD and acks it. A failure leaves it to be
// handed out again: copies are made at least once.
func (w *worker) bury(h job.Handover, res job.Result) {
	ctx, cancel := context.WithTimeout(w.writes, writeTime)
	defer cancel()
	if err := w.Jobs.Bury(ctx, h.Fire, res); err != nil {
		loglimit.Warn(w.log(h), "a fire could not be written to DEAD", "error", err)
		return
	}
	w.ack(h)
}

func (w *worker) ack(h job.Handover) {
	if err := h.Ack(); err != nil {
		w.log(h).Debug("a fire could not be acked; it will be handed out again", "error", err)
	}
}

func (w *worker) log(h job.Handover) *slog.Logger {
	return w.Log.With("db", h.DB, "collection", h.Collection, "job", h.Key.ID, "route", h.Route, "attempt", h.Attempt)
}
