package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	fastjson "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams/wire"
)

// Stored is a message as its stream holds it.
type Stored struct {
	Subject string
	Seq     uint64
	Header  nats.Header
	Data    []byte
	Time    time.Time // when it was stored; set only by a read from the leader
	Bare    bool      // it came without its data
}

// Last is LastOnLeader for a stream with AllowDirect. A server that is in no cluster is
// the leader of all its streams. A direct get from it is as fresh, and avoids base64 in
// JSON, which takes several times as long.
func (w *Writer) Last(ctx context.Context, stream, subject string) (m Stored, found bool, err error) {
	if !w.NC.IsConnected() || w.NC.ConnectedClusterName() != "" {
		return w.LastOnLeader(ctx, stream, subject)
	}
	m, found, err = w.LastOnReplica(ctx, stream, subject)
	if err == nil && (!found || m.Header.Get(jetstream.StreamHeader) != stream) {
		// A mirror that somebody created answers as well, and may be behind.
		return w.LastOnLeader(ctx, stream, subject)
	}
	if err != nil || len(m.Data) <= largeAnswer {
		return m, found, err
	}
	over, err := w.Turns.Take(ctx, largeRest)
	if err == nil {
		over()
	}
	return m, found, err
}

// LastOnLeader returns the newest message on subject as the stream's leader has it.
// nats.go asks any replica of a stream with AllowDirect, and a replica may not have seen
// the last write yet. The error wraps [job.ErrUnavailable].
func (w *Writer) LastOnLeader(ctx context.Context, stream, subject string) (m Stored, found bool, err error) {
	return w.askLeader(ctx, stream, map[string]any{"last_by_subj": subject})
}

// NextOnLeader returns the first message on subject with the sequence seq or a higher
// one, as the stream's leader has it.
func (w *Writer) NextOnLeader(ctx context.Context, stream, subject string, seq uint64) (m Stored, found bool, err error) {
	return w.askLeader(ctx, stream, map[string]any{"seq": seq, "next_by_subj": subject})
}

// SeqOnLeader returns the message at seq as the stream's leader has it.
func (w *Writer) SeqOnLeader(ctx context.Context, stream string, seq uint64) (m Stored, found bool, err error) {
	return w.askLeader(ctx, stream, map[string]any{"seq": seq})
}

func (w *Writer) askLeader(ctx context.Context, stream string, query map[string]any) (Stored, bool, error) {
	ask, err := json.Marshal(query)
	if err != nil {
		return Stored{}, false, err
	}
	answer, err := w.Request(ctx, &nats.Msg{Subject: wire.LeaderGet(stream), Data: ask})
	if err != nil {
		return Stored{}, false, fmt.Errorf("%w: couldn't read from the leader of %s: %v", job.ErrUnavailable, stream, err)
	}
	if len(answer.Data) > largeAnswer {
		over, err := w.Turns.Take(ctx, largeRest)
		if err != nil {
			return Stored{}, false, err
		}
		defer over()
	}
	m, err := LeaderAnswer(stream, answer.Data)
	if m == nil || err != nil {
		return Stored{}, false, err
	}
	return *m, true, nil
}

// LeaderAnswer parses the answer of a stream's leader. It returns nil if the leader has
// no such message.
func LeaderAnswer(stream string, answer []byte) (*Stored, error) {
	var got struct {
		Message *struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
		Error *jetstream.APIError `json:"error"`
	}
	// Large answers are most of the work of a read. This reads them several times as fast
	// as encoding/json.
	if err := fastjson.Unmarshal(answer, &got, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, fmt.Errorf("couldn't read the answer of the leader of %s: %w", stream, err)
	}
	switch {
	case got.Error != nil && got.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	case got.Error != nil:
		return nil, fmt.Errorf("%w: the leader of %s says: %w", job.ErrUnavailable, stream, got.Error)
	case got.Message == nil:
		return nil, errors.New("the leader's answer has neither a message nor an error")
	}
	m := &Stored{Subject: got.Message.Subject, Seq: got.Message.Seq, Data: got.Message.Data, Time: got.Message.Time}
	if len(got.Message.Header) > 0 {
		var err error
		if m.Header, err = nats.DecodeHeadersMsg(got.Message.Header); err != nil {
			return nil, fmt.Errorf("couldn't read the headers of message %d of %s: %w", m.Seq, stream, err)
		}
	}
	return m, nil
}

// LastOnReplica returns the newest message on subject as any replica has it,
// which is cheaper than asking the leader and may be behind it.
func (w *Writer) LastOnReplica(ctx context.Context, stream, subject string) (Stored, bool, error) {
	return w.askReplica(ctx, &nats.Msg{Subject: wire.ReplicaGet(stream) + "." + subject})
}

// SeqOnReplica returns the message at seq as any replica has it.
func (w *Writer) SeqOnReplica(ctx context.Context, stream string, seq uint64) (Stored, bool, error) {
	return w.askReplica(ctx, AskSeq(stream, seq))
}

// AskSeq returns the request for the message at seq that any replica answers.
func AskSeq(stream string, seq uint64) *nats.Msg {
	return &nats.Msg{Subject: wire.ReplicaGet(stream), Data: []byte(`{"seq":` + wire.FormatUint(seq) + `}`)}
}

// First returns the sequence of the first message on a subject and how many messages the
// subject has.
func (w *Writer) First(ctx context.Context, stream, subject string) (seq, count uint64, err error) {
	question := &nats.Msg{Subject: wire.ReplicaGet(stream), Data: []byte(`{"seq":1,"batch":1,"next_by_subj":"` + subject + `"}`)}
	m, found, err := w.askReplica(ctx, question)
	switch {
	case err != nil:
		return 0, 0, err
	case found:
		left, err := strconv.ParseUint(m.Header.Get(wire.HeaderNumPending), 10, 63)
		if err != nil {
			return 0, 0, fmt.Errorf("couldn't read how many messages are left: %w", err)
		}
		return m.Seq, left + 1, nil
	}
	if m, found, err = w.NextOnLeader(ctx, stream, subject, 1); err != nil || !found {
		return 0, 0, err
	}
	return m.Seq, 1, nil // at least one; the replica will know soon
}

func (w *Writer) askReplica(ctx context.Context, question *nats.Msg) (Stored, bool, error) {
	m, err := w.Request(ctx, question)
	if err != nil {
		return Stored{}, false, fmt.Errorf("%w: couldn't read: %v", job.ErrUnavailable, err)
	}
	return ReplicaAnswer(m)
}

// Request sends a request and waits for the answer until ctx ends. [Writer.Reads] bounds
// the answers that are waited for, whichever way they are encoded.
func (w *Writer) Request(ctx context.Context, question *nats.Msg) (*nats.Msg, error) {
	type answer struct {
		m   *nats.Msg
		err error
	}
	room, err := w.TakeReads(ctx, w.Largest*3/2)
	if err != nil {
		return nil, err
	}
	answers := make(chan answer, 1)
	w.Ask(question, func(m *nats.Msg, err error) {
		room()
		answers <- answer{m, err}
	})
	select {
	case a := <-answers:
		return a.m, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ReplicaAnswer parses the answer to a direct get.
func ReplicaAnswer(m *nats.Msg) (Stored, bool, error) {
	// A stored message may have a header named Status, too.
	if status := m.Header.Get("Status"); status != "" && m.Header.Get(jetstream.SequenceHeader) == "" {
		if status == "404" {
			return Stored{}, false, nil
		}
		return Stored{}, false, fmt.Errorf("%w: a read was answered with status %s", job.ErrUnavailable, job.Quote(status))
	}
	seq, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return Stored{}, false, fmt.Errorf("couldn't read the sequence of a stored message: %w", err)
	}
	return Stored{Subject: m.Header.Get(jetstream.SubjectHeader), Seq: seq, Header: m.Header, Data: m.Data}, true, nil
}
