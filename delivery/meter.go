package delivery

import (
	"time"

	"belfry/internal/job"
	"belfry/internal/metrics"
	"belfry/internal/tracing"
)

// post makes a try, late after it was due, and measures it.
func (w *worker) post(r job.Route, f job.Fire, started time.Time, late time.Duration) (outcome, job.Attempt) {
	span := w.Tracer.Client(f.Trace, "deliver")
	f.Trace = span.Traceparent()
	w.Metrics.TryBegan(f.RouteKey(), late)
	out, attempt := w.webhook.post(w.tries, r, f, started)
	w.Metrics.TryEnded(f.RouteKey(), attempt.Duration)
	describe(span, f, late, attempt.Status)
	span.End(out.detail)
	return out, attempt
}

// describe records in a span what was tried. It leaves out the URL, which may contain
// secrets.
func describe(span tracing.Span, f job.Fire, late time.Duration, status int) {
	span.Text("belfry.db", f.DB)
	span.Text("belfry.collection", f.Collection)
	span.Text("belfry.job", f.Key.ID)
	span.Text("belfry.route", f.Route)
	span.Text("belfry.webhook_id", f.FireID)
	span.Number("belfry.attempt", int64(f.Attempt))
	span.Number("belfry.lateness_ms", late.Milliseconds())
	if status != 0 {
		span.Number("http.response.status_code", int64(status))
	}
}

// came counts the end of a fire, by the result that will be written.
func (w *worker) came(f job.Fire, res job.Result) {
	w.Metrics.Came(f.RouteKey(), outcomeOf(res), res.Status == job.Retrying)
}

// outcomeOf maps a result to the outcome of the fire that it settles.
func outcomeOf(res job.Result) metrics.Outcome {
	switch {
	case res.Status == job.Delivered:
		return metrics.Delivered
	case res.Status == job.Scheduled:
		return metrics.PutBack
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
