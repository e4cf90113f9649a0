package wire

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
)

// EncodeFire returns the message that requests one try of the claimed record r.
func (n Names) EncodeFire(r job.Record, now time.Time) *nats.Msg {
	m := FireMessage(n.FireSubject(r.RouteKey()), r.Fire(), now)
	m.Header[hdrFired] = []string{FormatInt(now.UnixMilli())}
	return m
}

// EncodeDead returns the message that keeps an undeliverable fire, with the reason. Its
// message id lets the server drop most repeats.
func (n Names) EncodeDead(f job.Fire, reason job.Reason, detail string, now time.Time) *nats.Msg {
	f.Arming = letterArming(f.Arming)
	m := FireMessage(n.deadSubject(f.RouteKey()), f, now)
	m.Header[hdrReason] = []string{string(reason)}
	m.Header[hdrDetail] = []string{detail}
	m.Header[hdrMsgID] = []string{f.FireID + "." + FormatUint(f.Claim)}
	return m
}

// DecodeDead reads a message of DEAD. The fire died when the message was stored, unless a
// restore stored it; then a header has the time.
func DecodeDead(h nats.Header, data []byte, seq uint64, stored time.Time) (job.Letter, error) {
	f, err := DecodeFire(h, data, 0, time.Time{})
	died := stored
	if h.Get(HeaderDied) != "" {
		p := HeaderParser{H: h}
		died = time.UnixMilli(int64(p.Uint(HeaderDied)))
	}
	return job.Letter{
		Fire: f, Number: seq, Died: died,
		Reason: job.Reason(h.Get(hdrReason)), Detail: h.Get(hdrDetail),
	}, err
}

// FireMessage returns the message of a fire on a subject, published at now.
func FireMessage(subject string, f job.Fire, now time.Time) *nats.Msg {
	h := fireHeaders(f.Arming)
	h[job.HeaderTimestamp] = []string{FormatInt(now.Unix())}
	h[hdrClaim] = []string{FormatUint(f.Claim)}
	return &nats.Msg{Subject: subject, Header: h, Data: f.Meta}
}

// DecodeFire reads a message of FIRES. The error says which header is invalid.
func DecodeFire(h nats.Header, data []byte, seq uint64, published time.Time) (job.Fire, error) {
	p := HeaderParser{H: h}
	f := job.Fire{Arming: p.fireArming(data), Claim: p.Uint(hdrClaim), Seq: seq, Published: published}
	if fired := p.Uint(hdrFired); fired > 0 {
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
