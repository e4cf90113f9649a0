package streams

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
)

// encodeFire makes the message that asks for one try of the claimed record r.
func (n Names) encodeFire(r job.Record, now time.Time) *nats.Msg {
	m := fireMessage(n.fireSubject(r.RouteKey()), r.Fire(), now)
	m.Header[hdrFired] = []string{formatInt(now.UnixMilli())}
	setRedriven(m.Header, r.Redriven)
	return m
}

// encodeDead makes the message that keeps an undeliverable fire, with the
// reason. Its message id lets the server drop most repeats.
func (n Names) encodeDead(f job.Fire, reason job.Reason, detail string, now time.Time) *nats.Msg {
	m := fireMessage(n.deadSubject(f.RouteKey()), f, now)
	m.Header[hdrReason] = []string{string(reason)}
	m.Header[hdrDetail] = []string{detail}
	m.Header[hdrMsgID] = []string{f.FireID + "." + formatUint(f.Claim)}
	return m
}

// decodeDead reads a message of DEAD that was stored at a time: then its fire
// died, unless a restore has stored it.
func decodeDead(h nats.Header, data []byte, seq uint64, stored time.Time) (job.Letter, error) {
	f, err := decodeFire(h, data, 0, time.Time{})
	died := stored
	if h.Get(hdrDied) != "" {
		p := headerParser{h: h}
		died = time.UnixMilli(int64(p.uint(hdrDied)))
	}
	return job.Letter{
		Fire: f, Number: seq, Died: died,
		Reason: job.Reason(h.Get(hdrReason)), Detail: h.Get(hdrDetail),
	}, err
}

func fireMessage(subject string, f job.Fire, now time.Time) *nats.Msg {
	m := &nats.Msg{
		Subject: subject,
		Data:    f.Meta,
		Header: nats.Header{
			job.HeaderID:          {f.FireID},
			job.HeaderTimestamp:   {formatInt(now.Unix())},
			job.HeaderDB:          {Escape(f.DB)},
			job.HeaderCollection:  {Escape(f.Collection)},
			job.HeaderJobID:       {Escape(f.Key.ID)},
			job.HeaderRoute:       {Escape(f.Route)},
			job.HeaderTriggerTime: {formatInt(f.Trigger)},
			job.HeaderAttempt:     {formatInt(int64(f.Attempt))},
			hdrFireID:             {f.FireID},
			hdrClaim:              {formatUint(f.Claim)},
		},
	}
	setTrace(m.Header, f.Trace)
	return m
}

// decodeFire reads a message of FIRES. The error says which header is not one
// of a fire.
func decodeFire(h nats.Header, data []byte, seq uint64, published time.Time) (job.Fire, error) {
	p := headerParser{h: h}
	f := job.Fire{
		Key: job.Key{
			DB:         p.text(job.HeaderDB),
			Collection: p.text(job.HeaderCollection),
			ID:         p.text(job.HeaderJobID),
		},
		Route:     p.text(job.HeaderRoute),
		Trigger:   int64(p.uint(job.HeaderTriggerTime)),
		FireID:    h.Get(hdrFireID),
		Attempt:   int(p.uint(job.HeaderAttempt)),
		Meta:      data,
		Trace:     job.ParseTrace(h.Get(job.HeaderTrace)),
		Redriven:  int64(p.uint(hdrRedriven)),
		Claim:     p.uint(hdrClaim),
		Seq:       seq,
		Published: published,
	}
	if fired := p.uint(hdrFired); fired > 0 {
		f.Fired = time.UnixMilli(int64(fired))
	}
	if f.FireID == "" {
		p.fail(hdrFireID)
	}
	if f.Claim == 0 {
		p.fail(hdrClaim)
	}
	if p.bad != "" {
		return f, fmt.Errorf("not a fire: its header %s is %q", p.bad, h.Get(p.bad))
	}
	return f, f.Key.Check()
}
