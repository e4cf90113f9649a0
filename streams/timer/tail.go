package timer

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/loglimit"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// tailed is what the timer learns from one message of the jobs bucket.
type tailed struct {
	seq  uint64
	rec  job.Record // headers only
	kind tailKind

	restore string // the restore that wrote the record, if any
	bytes   int    // the size of the value
}

type tailKind int

const (
	isNothing tailKind = iota // not a job: somebody else's
	isDeleted                 // the marker of a deleted key; rec has that key
	isMark                    // an owner's mark; only rec.Epoch is set
	isRecord                  // a record that Belfry wrote
	isUnknown                 // a record without Belfry's headers, as a plain KV put leaves it
)

// tail reads the jobs bucket after the sequence last, headers only, and sends each
// message to out, until ctx ends. After an error it goes on behind the last message that
// it sent.
func (t *Timer) tail(ctx context.Context, last uint64, out chan<- tailed) {
	pause := journal.NewBackOff(50*time.Millisecond, 2*time.Second)
	for ctx.Err() == nil {
		before := last
		err := t.tailOnce(ctx, &last, out)
		if ctx.Err() != nil {
			return
		}
		if last > before {
			pause.Reset()
		}
		loglimit.Warn(t.log, "the tail of the jobs bucket is made anew", "partition", t.partition, "at", last, "error", err)
		journal.Sleep(ctx, pause.NextBackOff())
	}
}

func (t *Timer) tailOnce(ctx context.Context, last *uint64, out chan<- tailed) error {
	return t.inOrder().Read(ctx, t.w.Names.JobsStream(t.partition), *last+1, func(m jetstream.Msg, at *jetstream.MsgMetadata) bool {
		select {
		case out <- t.glimpse(m, at.Sequence.Stream):
			*last = at.Sequence.Stream
			return true
		case <-ctx.Done():
			return false
		}
	})
}

// glimpse decodes what one message of the bucket means to the timer.
func (t *Timer) glimpse(m jetstream.Msg, seq uint64) tailed {
	key := strings.TrimPrefix(m.Subject(), t.w.Names.JobsPrefix(t.partition))
	if key == wire.EpochKey {
		p := wire.HeaderParser{H: m.Headers()}
		return tailed{seq: seq, kind: isMark, rec: job.Record{Epoch: p.Uint(wire.HeaderEpoch)}}
	}
	if key == wire.AuthKey || key == wire.ProbeKey {
		return tailed{seq: seq}
	}
	k, err := wire.ParseJobKey(key)
	if err != nil {
		t.log.Warn("key in the jobs bucket is no job's; it is left alone", "key", key, "error", err)
		return tailed{seq: seq}
	}
	r, written, err := wire.DecodeHeaders(k, seq, m.Headers())
	switch {
	case errors.Is(err, wire.ErrNoRecord):
		return tailed{seq: seq, rec: r, kind: isDeleted}
	case err != nil:
		t.leaveAlone(k, err)
		return tailed{seq: seq}
	case !written:
		return tailed{seq: seq, rec: r, kind: isUnknown}
	}
	run, _ := wire.ParseRestoreTag(m.Headers())
	bytes, _ := strconv.Atoi(m.Headers().Get(nats.MsgSize))
	return tailed{seq: seq, rec: r, kind: isRecord, restore: run, bytes: bytes}
}

// leaveAlone logs a stored record that is not a job of this partition. The timer meets
// each such record once.
func (t *Timer) leaveAlone(k job.Key, err error) {
	t.log.Warn("record in the jobs bucket is no job; it is left alone",
		"db", k.DB, "collection", k.Collection, "job", k.ID, "error", err)
}

// inOrder returns a reader of streams for the timer.
func (t *Timer) inOrder() journal.OrderedReader {
	return journal.OrderedReader{JS: t.js, W: t.w, Log: t.log, Panicked: t.meter.Panicked}
}
