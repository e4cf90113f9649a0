package journal

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/panics"
)

// ReadAtOnce is how many messages are requested at once. A start reads a long bucket a
// fifth faster with it than with the 500 of nats.go.
const ReadAtOnce = 5000

// TailHeartbeat is how often the server sends a heartbeat. The tail is restarted when two
// are missed.
const TailHeartbeat = 500 * time.Millisecond

// OrderedReader reads the headers of a stream's messages in order.
type OrderedReader struct {
	JS       jetstream.JetStream
	W        *Writer
	Log      *slog.Logger
	Panicked func() // counts a visit that panicked
}

// Read hands the messages of a stream to visit, headers only, in order and from the
// sequence from on. It ends without an error when visit returns false. After an error the
// caller starts again behind the last message visited.
func (o OrderedReader) Read(ctx context.Context, stream string, from uint64, visit func(m jetstream.Msg, at *jetstream.MsgMetadata) (more bool)) error {
	from, more := o.pastStatuses(ctx, stream, max(from, 1), visit)
	if !more {
		return ctx.Err()
	}
	c, err := o.JS.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
		HeadersOnly:   true,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   from,
		// One attempt, since each one holds on for 10 s.
		MaxResetAttempts: 1,
	})
	if err != nil {
		return err
	}
	for m, err := range MessagesOf(ctx, c, jetstream.PullHeartbeat(TailHeartbeat), jetstream.PullMaxMessages(ReadAtOnce)) {
		if err != nil {
			return err
		}
		at, err := m.Metadata()
		if err != nil {
			return err
		}
		if !o.visited(visit, m, at) {
			break
		}
	}
	return ctx.Err()
}

// pastStatuses visits the messages at from that have a header named Status, and returns
// the sequence after them. Without its data, nats.go takes such a message for a status of
// the server; it drops the message or recreates the consumer, and would never get past
// it.
func (o OrderedReader) pastStatuses(ctx context.Context, stream string, from uint64, visit func(jetstream.Msg, *jetstream.MsgMetadata) bool) (next uint64, more bool) {
	for ctx.Err() == nil {
		m, found, err := o.W.NextOnLeader(ctx, stream, ">", from)
		if err != nil || !found || m.Header.Get("Status") == "" {
			break // an error of the stream shows when it is read
		}
		at := &jetstream.MsgMetadata{Stream: stream, Timestamp: m.Time, NumPending: 1, Sequence: jetstream.SequencePair{Stream: m.Seq}}
		if !o.visited(visit, asked{m: m}, at) {
			return from, false
		}
		from = m.Seq + 1
	}
	return from, true
}

// asked is a message that was requested from the leader.
type asked struct {
	jetstream.Msg // nil: nobody acknowledges it
	m             Stored
}

func (a asked) Subject() string      { return a.m.Subject }
func (a asked) Headers() nats.Header { return a.m.Header }
func (a asked) Data() []byte         { return nil } // like all messages of this reader

// visited visits one message. A panic in visit is counted, and reading goes on behind the
// message.
func (o OrderedReader) visited(visit func(jetstream.Msg, *jetstream.MsgMetadata) bool, m jetstream.Msg, at *jetstream.MsgMetadata) (more bool) {
	more = true
	defer panics.Recover(o.Log, "a message of a stream that is read", o.Panicked)
	return visit(m, at)
}
