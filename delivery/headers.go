package delivery

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"belfry/internal/job"
)

// header is what receivers get along with the meta, made anew for each try:
//
//	Content-Type         application/json, or what the route says
//	User-Agent           Belfry/<version>
//	webhook-id           the fire id: the same on every try, to drop repeats by
//	webhook-timestamp    when this try was made, in unix seconds
//	webhook-signature    one or more signatures, if the route has a secret
//	Belfry-Db            the job's database, escaped
//	Belfry-Collection    the job's collection, escaped
//	Belfry-Job-Id        the job's id, escaped
//	Belfry-Route         the route's id, escaped
//	Belfry-Trigger-Time  the job's trigger time, in unix milliseconds
//	Belfry-Attempt       the number of this try, from 1
//	traceparent          of this try's span, or else of the request that made
//	                     the job, if it had one
//
// and the route's own. The names with webhook- are those of Standard Webhooks
// 1.0.0, whose signature is over the id, the timestamp and the meta.
func (w *webhook) header(p job.Policy, f job.Fire, now time.Time) (http.Header, error) {
	h := http.Header{}
	for name, value := range p.Headers {
		h.Set(name, value)
	}
	signatures, err := sign(p.Secrets(now), f, now)
	if err != nil {
		return nil, err
	}
	if signatures != "" {
		h.Set(job.HeaderSignature, signatures)
	}
	h.Set("Content-Type", cmp.Or(p.ContentType, "application/json"))
	h.Set("User-Agent", w.userAgent)
	h.Set(job.HeaderID, f.FireID)
	h.Set(job.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	h.Set(job.HeaderDB, w.escape(f.DB))
	h.Set(job.HeaderCollection, w.escape(f.Collection))
	h.Set(job.HeaderJobID, w.escape(f.Key.ID))
	h.Set(job.HeaderRoute, w.escape(f.Route))
	h.Set(job.HeaderTriggerTime, strconv.FormatInt(f.Trigger, 10))
	h.Set(job.HeaderAttempt, strconv.Itoa(f.Attempt))
	if f.Trace != "" {
		h.Set(job.HeaderTrace, f.Trace)
	}
	return h, nil
}
