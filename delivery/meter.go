package delivery

import (
	"time"

	"belfry/internal/job"
	"belfry/internal/metrics"
)

// post makes a try, late after it was due, and takes its measure.
func (w *worker) post(r job.Route, f job.Fire, started time.Time, late time.Duration) (outcome, job.Attempt) {
	w.Metrics.TryBegan(f.RouteKey(), late)
	out, attempt := w.webhook.post(w.tries, r, f, started)
	w.Metrics.TryEnded(f.RouteKey(), attempt.Duration)
	return out, attempt
}

// came counts what became of a fire, by the result that is to be written.
func (w *worker) came(f job.Fire, res job.Result) {
	w.Metrics.Came(f.RouteKey(), outcomeOf(res), res.Status == job.Retrying)
}

// outcomeOf says what a result means for the fire that it settles.
func outcomeOf(res job.Result) metrics.Outcome {
	switch {
	case res.Status == job.Delivered:
		return metrics.Delivered
	case res.Status == job.Expired:
		return metrics.Expired
	case res.Reason == job.ReasonNoRoute:
		return metrics.Unrouted
	case res.Reason == job.ReasonGone:
		return metrics.Gone
	case res.Reason == job.ReasonFinal:
		return metrics.Final
	}
	return metrics.Failed
}
