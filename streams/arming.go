package streams

import (
	"strconv"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
)

// This file is the codec of [job.Arming] in records, fires and dead letters. A record
// has the key in its subject and the job in its value; a fire has the meta alone in
// its value, and all else in headers, for its receivers.

// mostHeaders is how many headers a message has at most, more or less: so much room
// saves growing.
const mostHeaders = 14

// recordHeaders makes the headers of a record's arming.
func recordHeaders(a job.Arming) nats.Header {
	h := make(nats.Header, mostHeaders)
	setArming(h, a)
	h[hdrTrigger] = []string{formatInt(a.Trigger)}
	return h
}

// fireHeaders makes the headers of the arming of a fire or a dead letter.
func fireHeaders(a job.Arming) nats.Header {
	h := make(nats.Header, mostHeaders)
	setArming(h, a)
	h[job.HeaderID] = []string{a.FireID}
	h[job.HeaderDB] = []string{Escape(a.DB)}
	h[job.HeaderCollection] = []string{Escape(a.Collection)}
	h[job.HeaderJobID] = []string{Escape(a.ID)}
	h[job.HeaderTriggerTime] = []string{formatInt(a.Trigger)}
	return h
}

// letterArming returns what a dead letter keeps of its fire's arming: all but when the
// job was redriven, since the next redrive sets another time.
func letterArming(a job.Arming) job.Arming {
	a.Redriven = 0
	return a
}

// setArming adds the headers that records and fires have in common.
func setArming(h nats.Header, a job.Arming) {
	h[hdrFireID] = []string{a.FireID}
	h[hdrAttempt] = []string{strconv.Itoa(a.Attempt)}
	h[hdrRoute] = []string{Escape(a.Route)}
	if a.Redriven != 0 {
		h[hdrRedriven] = []string{formatInt(a.Redriven)}
	}
	if a.Trace != "" {
		h[job.HeaderTrace] = []string{a.Trace}
	}
}

// arming reads what setArming adds.
func (p *headerParser) arming(k job.Key) job.Arming {
	return job.Arming{
		Job:      job.Job{Key: k, Route: p.text(hdrRoute), Trace: job.ParseTrace(p.h.Get(job.HeaderTrace))},
		FireID:   p.h.Get(hdrFireID),
		Attempt:  int(p.uint(hdrAttempt)),
		Redriven: int64(p.uint(hdrRedriven)),
	}
}

// fireArming reads the headers that fireHeaders makes.
func (p *headerParser) fireArming(meta []byte) job.Arming {
	a := p.arming(job.Key{DB: p.text(job.HeaderDB), Collection: p.text(job.HeaderCollection), ID: p.text(job.HeaderJobID)})
	a.Trigger, a.Meta = int64(p.uint(job.HeaderTriggerTime)), meta
	return a
}

// withValue completes the arming that a record's headers have with the job in its
// value. The traceparent is no part of what the client gave.
func withValue(a job.Arming, value job.Job) job.Arming {
	value.Trace = a.Trace
	a.Job = value
	return a
}
