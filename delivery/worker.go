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
	// holdEvery is how often a worker says that it still has a fire.
	holdEvery = time.Second

	// lookupTime bounds all lookups before a POST.
	lookupTime = 5 * time.Second

	// writeTime bounds one write of a result, finishTime all its repeats.
	writeTime  = 5 * time.Second
	finishTime = 10 * time.Minute

	// maxTimes is how often a fire is handed out until it counts as a failed
	// try: whatever keeps its worker from a result must not hold it forever.
	// Trouble with the store uses some up: each is 3 s apart.
	maxTimes = 20
)

// worker knows what to do with one handover.
type worker struct {
	Config
	webhook *webhook

	// tries ends when a shutdown cuts off the POSTs, writes when it gives up
	// writing results. They are here since handovers come without a context.
	tries, writes context.Context

	busy sync.Map // Fire.Seq of the fires under way

	cut atomic.Int64 // how many tries a shutdown has cut off

	shortage shortageLog
}

// deliver does with a fire what its standing asks for. It calls posted when the
// POST is over and only the result is to be stored.
func (w *worker) deliver(h job.Handover, b *breaker, posted func()) {
	// A worker cut off from the store may have lost its hold on the fire
	// while it still means to write the result. One POST is enough.
	if _, busy := w.busy.LoadOrStore(h.Seq, nil); busy {
		return
	}
	defer w.busy.Delete(h.Seq)
	defer w.hold(h)()

	ctx, cancel := context.WithTimeout(w.tries, lookupTime)
	defer cancel()
	standing, rec, err := w.Jobs.Standing(ctx, h.Fire)
	if err != nil {
		loglimit.Warn(w.log(h), "the standing of a fire is not known", "error", err)
		return
	}
	switch standing {
	case job.Valid:
		w.try(ctx, h, rec, b, posted)
	case job.Superseded:
		w.ack(h)
	case job.Buried:
		w.bury(h, job.Result{Status: job.Dead, Reason: rec.Reason, Detail: rec.Detail})
	case job.Undecided: // left unacked: its record may be on its way
	}
}

// hold keeps the fire from being handed out again until it is released. A
// worker that dies, or is cut off, holds it no longer, so that another one has
// it seconds later, however long a try may take.
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

// try makes the one try that a valid fire stands for and settles its result.
// rec is the record of the fire's claim.
func (w *worker) try(lookups context.Context, h job.Handover, rec job.Record, b *breaker, posted func()) {
	route, err := w.Routes.Get(lookups, h.RouteKey())
	if errors.Is(err, job.ErrRouteNotFound) {
		w.settle(h, job.Result{Status: job.Dead, Reason: job.ReasonNoRoute})
		return
	}
	if err != nil {
		loglimit.Warn(w.log(h), "the route of a fire could not be read", "error", err)
		return
	}
	started := w.Now()
	due := cmp.Or(rec.Replaces.Due, h.Trigger)
	// Gates open by the clock of the timer's node. If that is ahead of ours, the
	// fire would be put back, and fired again at once, until ours agrees.
	ahead := max(h.Fired.Sub(started), 0)
	at := started.Add(ahead)
	if route.PausedAt(at) || !w.mayTry(b, at) {
		w.settle(h, job.Result{Status: job.Scheduled, RetryAt: due, Reason: rec.Reason, Detail: rec.Detail})
		return
	}
	late := max(started.Sub(time.UnixMilli(due)), 0)
	if h.Attempt == 1 && route.MaxLateness > 0 && late > route.MaxLateness {
		w.settle(h, job.TooLate(late, route.MaxLateness))
		return
	}
	stuck := fmt.Sprintf("handed out %d times without a result", h.Times)
	out, attempt := outcome{verdict: failed, detail: stuck}, job.Attempt{Error: stuck}
	if h.Times < maxTimes {
		out, attempt = w.post(route, h.Fire, started, late)
		if out.verdict == putOff {
			w.putOff(h, job.Result{Status: job.Scheduled, RetryAt: due, Reason: rec.Reason, Detail: rec.Detail}, out)
			return
		}
		if out.verdict != interrupted {
			w.tried(b, endpointAlive(attempt.Status), at, w.Now().Add(ahead))
		}
	}
	posted()
	switch out.verdict {
	case interrupted:
		w.cut.Add(1)
		w.Metrics.Came(h.RouteKey(), metrics.Interrupted, false)
		return
	case failed:
		w.log(h).Debug("a try failed", "detail", out.detail)
	}
	attempt.Number, attempt.FireID, attempt.Started, attempt.Lateness = h.Attempt, h.Fire.ID, started, late
	w.Attempts.Keep(h.Fire, attempt)
	retry := route.Retry
	if retry.IsZero() {
		retry = w.Retry
	}
	w.settle(h, out.result(h.Fire, retry, w.Now()))
}

// putOff puts a fire back whose try this machine could not make, due when it was,
// so that its lateness counts from then. Meanwhile the fire keeps its slot.
func (w *worker) putOff(h job.Handover, back job.Result, out outcome) {
	w.shortage.putOff(w.Log, out.detail, w.Now())
	if pause(w.tries, putOffTime()); w.tries.Err() != nil {
		w.cut.Add(1)
		w.Metrics.Came(h.RouteKey(), metrics.Interrupted, false)
		return
	}
	w.settle(h, back)
}

// settle writes a result and acks the fire. Of a POST that was made the result
// must not be lost, so it keeps at it while the store has trouble.
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

// passing reports whether a write that failed so is worth repeating.
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
