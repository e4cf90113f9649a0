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
	return m
}

// encodeDead makes the message that keeps an undeliverable fire, with the
// reason. Its message id lets the server drop most repeats.
func (n Names) encodeDead(f job.Fire, reason job.Reason, detail string, now time.Time) *nats.Msg {
	f.Arming = letterArming(f.Arming)
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
	h := fireHeaders(f.Arming)
	h[job.HeaderTimestamp] = []string{formatInt(now.Unix())}
	h[hdrClaim] = []string{formatUint(f.Claim)}
	return &nats.Msg{Subject: subject, Header: h, Data: f.Meta}
}

// decodeFire reads a message of FIRES. The error says which header is not one
// of a fire.
func decodeFire(h nats.Header, data []byte, seq uint64, published time.Time) (job.Fire, error) {
	p := headerParser{h: h}
	f := job.Fire{Arming: p.fireArming(data), Claim: p.uint(hdrClaim), Seq: seq, Published: published}
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
