package wire

import (
	"strconv"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
)

// This file is the codec of [job.Arming] in records, fires and dead letters. A record has
// the key in its subject and the job in its value. A fire has only the meta in its value;
// everything else is in headers, for its receivers.

// mostHeaders is roughly the most headers that a message has. Making room for them up
// front saves growing the map.
const mostHeaders = 14

// recordHeaders returns the headers of a record's arming.
func recordHeaders(a job.Arming) nats.Header {
	h := make(nats.Header, mostHeaders)
	setArming(h, a)
	h[hdrTrigger] = []string{FormatInt(a.Trigger)}
	return h
}

// fireHeaders returns the headers of a fire's or a dead letter's arming.
func fireHeaders(a job.Arming) nats.Header {
	h := make(nats.Header, mostHeaders)
	setArming(h, a)
	h[job.HeaderID] = []string{a.FireID}
	h[job.HeaderDB] = []string{Escape(a.DB)}
	h[job.HeaderCollection] = []string{Escape(a.Collection)}
	h[job.HeaderJobID] = []string{Escape(a.ID)}
	h[job.HeaderTriggerTime] = []string{FormatInt(a.Trigger)}
	return h
}

// letterArming returns what a dead letter keeps of its fire's arming: everything but the
// time of the redrive, since the next redrive sets another.
func letterArming(a job.Arming) job.Arming {
	a.Redriven = 0
	return a
}

// setArming adds the headers that records and fires share.
func setArming(h nats.Header, a job.Arming) {
	h[hdrFireID] = []string{a.FireID}
	h[hdrAttempt] = []string{strconv.Itoa(a.Attempt)}
	h[hdrRoute] = []string{Escape(a.Route)}
	if a.Redriven != 0 {
		h[hdrRedriven] = []string{FormatInt(a.Redriven)}
	}
	if a.Trace != "" {
		h[job.HeaderTrace] = []string{a.Trace}
	}
}

// arming reads what setArming adds.
func (p *HeaderParser) arming(k job.Key) job.Arming {
	return job.Arming{
		Job:      job.Job{Key: k, Route: p.text(hdrRoute), Trace: job.ParseTrace(p.H.Get(job.HeaderTrace))},
		FireID:   p.H.Get(hdrFireID),
		Attempt:  int(p.Uint(hdrAttempt)),
		Redriven: int64(p.Uint(hdrRedriven)),
	}
}

// fireArming reads what fireHeaders returns.
func (p *HeaderParser) fireArming(meta []byte) job.Arming {
	a := p.arming(job.Key{DB: p.text(job.HeaderDB), Collection: p.text(job.HeaderCollection), ID: p.text(job.HeaderJobID)})
	a.Trigger, a.Meta = int64(p.Uint(job.HeaderTriggerTime)), meta
	return a
}

// withValue completes the arming from a record's headers with the job in its value. The
// traceparent does not come from the client.
func withValue(a job.Arming, value job.Job) job.Arming {
	value.Trace = a.Trace
	a.Job = value
	return a
}
