package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"belfry/internal/job"
)

const (
	// lookupTime bounds all lookups before a POST. With the POST and the
	// first write of its result (writeTime) they stay within the 15 s more
	// than the timeout, after which the fire is handed out again.
	lookupTime = 5 * time.Second

	// writeTime bounds one write of a result, finishTime all its repeats.
	writeTime  = 5 * time.Second
	finishTime = 10 * time.Minute

	// maxTimes is how often a fire is handed out until it counts as a failed
	// try: whatever keeps its worker from a result must not hold it forever.
	maxTimes = 5
)

// worker knows what to do with one handover.
type worker struct {
	Config
	webhook *webhook

	// tries ends when a shutdown cuts off the POSTs, writes when it gives up
	// writing results. They are here since handovers come without a context.
	tries, writes context.Context

	busy sync.Map // Fire.Seq of the fires under way
}

// deliver does with a fire what its standing asks for.
func (w *worker) deliver(h job.Handover) {
	// A worker cut off from the store may have lost its hold on the fire
	// while it still means to write the result. One POST is enough.
	if _, busy := w.busy.LoadOrStore(h.Seq, nil); busy {
		return
	}
	defer w.busy.Delete(h.Seq)

	ctx, cancel := context.WithTimeout(w.tries, lookupTime)
	defer cancel()
	standing, rec, err := w.Jobs.Standing(ctx, h.Fire)
	if err != nil {
		w.log(h).Warn("the standing of a fire is not known", "error", err)
		return
	}
	switch standing {
	case job.Valid:
		w.try(ctx, h)
	case job.Superseded:
		w.ack(h)
	case job.Buried:
		w.bury(h, job.Result{Status: job.Dead, Reason: rec.Reason, Detail: rec.Detail})
	case job.Undecided: // left unacked: its record may be on its way
	}
}

// buryOrphan moves a fire of a deleted NATS route into DEAD.
func (w *worker) buryOrphan(h job.Handover) {
	w.bury(h, job.Result{Status: job.Dead, Reason: job.ReasonNoRoute})
}

// try makes the one try that a valid fire stands for and settles its result.
func (w *worker) try(lookups context.Context, h job.Handover) {
	route, err := w.Routes.Get(lookups, h.RouteKey())
	if errors.Is(err, job.ErrRouteNotFound) {
		w.settle(h, job.Result{Status: job.Dead, Reason: job.ReasonNoRoute})
		return
	}
	if err != nil {
		w.log(h).Warn("the route of a fire could not be read", "error", err)
		return
	}
	out := outcome{failed, fmt.Sprintf("handed out %d times without a result", h.Times)}
	if h.Times < maxTimes {
		out = w.webhook.post(w.tries, route, h.Fire, w.Now())
	}
	switch out.verdict {
	case interrupted:
		return
	case failed:
		w.log(h).Debug("a try failed", "detail", out.detail)
	}
	w.settle(h, out.result(h.Attempt, w.Retry, w.Now()))
}

// settle writes a result and acks the fire. Of a POST that was made the result
// must not be lost, so it keeps at it, and holds on to the fire, while the
// store has trouble.
func (w *worker) settle(h job.Handover, res job.Result) {
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
	hold := func(err error, _ time.Duration) {
		if !repeated {
			w.log(h).Warn("the result of a try is not written yet", "error", err)
		}
		repeated = true
		if err := h.Extend(); err != nil {
			w.log(h).Debug("a fire could not be held on to", "error", err)
		}
	}
	if err := backoff.RetryNotify(finish, backoff.WithContext(storeBackOff(), ctx), hold); err != nil {
		w.log(h).Error("the result of a try could not be written; the try will be repeated", "error", err)
		return
	}
	if res.Status == job.Dead {
		w.log(h).Warn("a job died", "reason", res.Reason, "detail", res.Detail)
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
		w.log(h).Warn("a fire could not be written to DEAD", "error", err)
		return
	}
	w.log(h).Info("a fire was written to DEAD", "reason", res.Reason, "detail", res.Detail)
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
