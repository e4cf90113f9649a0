package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"belfry/internal/job"
	"belfry/internal/room"
	"belfry/streams/wire"
)

// Scanner reads the messages of a jobs bucket that are on its subject, in the order of
// their sequences. It asks any replica, and a replica may be behind. So it never takes
// "not found" from a replica as proof: a record that changes during the scan gets a
// higher sequence, and only the leader is trusted to say that there is nothing higher. A
// record that is there throughout the scan is therefore read at least once.
//
// For each batch and each consumer JetStream counts how many messages are left. That
// takes time in proportion to all messages that match, 50 to 100 ms for a million. So
// batches are read only for a subject that few messages match. A crowd is read message by
// message, with many requests under way, and the scanner drops the messages that do not
// match.
//
// Only a consumer can leave out the data of messages. So large messages are read by a
// consumer, without their data, however many match.
type Scanner struct {
	JS      jetstream.JetStream
	W       *Writer
	Stream  string
	Subject string
	Narrow  bool

	last            uint64 // the last sequence visited
	messages, bytes int    // met so far
}

const (
	// Crowd is how many matching messages are too many to count for each page.
	Crowd = 20_000
	// batchMost and batchBytes bound one batch. batchFirst bounds the first one, before
	// the size of the messages is known.
	batchMost  = 64
	batchBytes = 1 << 20
	batchFirst = 256 << 10
	// questionsMost is how many messages of a crowd are requested at once.
	questionsMost = 64
	// largeFrom is the average size from which messages are read without their data.
	largeFrom = 8 << 10
)

// Holds is how many bytes a scanner holds in memory at once, not counting the extra room
// it takes when there is some. One message fits in any case.
func (w *Writer) Holds() int64 { return batchBytes + w.Largest }

// Read hands the messages from the sequence from on to visit, until visit returns false,
// until is past, or there are no more. next is where to go on, and ended says that there
// are no more.
func (r *Scanner) Read(ctx context.Context, from uint64, until time.Time, visit func(Stored) (more bool)) (next uint64, ended bool, err error) {
	next = max(from, 1)
	for width := 4; ; {
		found, more, err := r.step(ctx, next, width, visit)
		if found > 0 {
			width, next = min(max(2*found, 4), questionsMost), r.last+1
		}
		if err != nil || !more || found == 0 {
			return next, err == nil && found == 0, err
		}
		if time.Now().After(until) {
			return next, false, nil
		}
	}
}

// step visits some messages; none if there are no more. Its turn is over before the
// visits, since a visit may wait for others that need a turn.
func (r *Scanner) step(ctx context.Context, from uint64, width int, visit func(Stored) bool) (visited int, more bool, err error) {
	found, err := r.inTurn(ctx, from, width)
	if err != nil {
		return 0, false, err
	}
	for i, m := range found {
		r.last = m.Seq
		if !visit(m) {
			return i + 1, false, nil
		}
	}
	return len(found), true, nil
}

// inTurn reads some messages in a turn of its own.
func (r *Scanner) inTurn(ctx context.Context, from uint64, width int) ([]Stored, error) {
	over, err := r.W.Turns.Take(ctx, WalkRest)
	if err != nil {
		return nil, err
	}
	found, err := r.some(ctx, from, width)
	over() // the leader's answer may need a turn of its own
	if err != nil || len(found) > 0 {
		return found, err
	}
	m, exists, err := r.W.NextOnLeader(ctx, r.Stream, r.filter(), from)
	if err != nil || !exists {
		return nil, err
	}
	return []Stored{m}, nil
}

func (r *Scanner) filter() string {
	if r.Narrow {
		return r.Subject
	}
	return ">"
}

// some returns the messages from the sequence from on, without a gap up to the last of
// them.
func (r *Scanner) some(ctx context.Context, from uint64, width int) (found []Stored, err error) {
	switch {
	case r.messages > 0 && r.bytes/r.messages >= largeFrom:
		found, err = r.bare(ctx, from)
	case r.Narrow:
		found, err = r.batch(ctx, from)
	default:
		found, err = r.questions(ctx, from, width)
	}
	for _, m := range found {
		r.messages++
		r.bytes += len(m.Data)
		if m.Bare {
			size, _ := strconv.Atoi(m.Header.Get(nats.MsgSize))
			r.bytes += size
		}
	}
	return found, err
}

// batch returns one answer of one replica. If the answer has a gap, because the
// connection broke, the result ends before the gap.
func (r *Scanner) batch(ctx context.Context, from uint64) (found []Stored, err error) {
	most := batchBytes
	if r.messages == 0 {
		most = batchFirst
	}
	done, err := r.W.TakeReads(ctx, int64(most)+r.W.Largest) // the last message may exceed the bound
	if err != nil {
		return nil, Unavailable("couldn't read jobs", err)
	}
	defer done()
	messages, err := jetstreamext.GetBatch(ctx, r.JS, r.Stream, batchMost, jetstreamext.GetBatchSeq(from),
		jetstreamext.GetBatchSubject(r.Subject), jetstreamext.GetBatchMaxBytes(most))
	if err != nil {
		return nil, Unavailable("couldn't read jobs", err)
	}
	last := uint64(0)
	for m, err := range messages {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return found, nil
		case err != nil:
			return nil, Unavailable("couldn't read jobs", err)
		case m.Header.Get(wire.HeaderLastSequence) != wire.FormatUint(last):
			return found, nil
		}
		last = m.Sequence
		found = append(found, Stored{Subject: m.Subject, Seq: m.Sequence, Header: m.Header, Data: m.Data})
	}
	return found, nil
}

// questions asks for the first message at or behind each of width sequences, or of fewer
// if there is no room for that many answers. A replica that answers with a message has
// heard of all sequences up to it, so the sequences that it skips are gone. A replica
// that knows of no message proves nothing, and neither do the answers to the requests
// after it.
func (r *Scanner) questions(ctx context.Context, from uint64, width int) ([]Stored, error) {
	held := room.Of(ctx).Beside()
	defer held.Close()
	width = int(min(int64(width), max(r.W.Reads.Share()/r.W.Largest, 1)))
	for base := max(int(r.W.Holds()/r.W.Largest), 1); width > base; width = max(width/2, base) {
		if held.TryAdd(int64(width-base) * r.W.Largest) {
			break
		}
	}
	done, err := r.W.TakeReads(ctx, int64(width)*r.W.Largest)
	if err != nil {
		return nil, fmt.Errorf("%w: couldn't read: %v", job.ErrUnavailable, err)
	}
	all, err := r.ask(ctx, from, width, done)
	if err != nil {
		return nil, err
	}
	var found []Stored
	for _, a := range all {
		if a.err != nil {
			return nil, fmt.Errorf("%w: couldn't read: %v", job.ErrUnavailable, a.err)
		}
		m, exists, err := ReplicaAnswer(a.m)
		if err != nil {
			return nil, err
		}
		if !exists {
			break
		}
		// Behind a gap many answers are the same.
		if n := len(found); n == 0 || m.Seq > found[n-1].Seq {
			found = append(found, m)
		}
	}
	return found, nil
}

// answer is the answer to request number i.
type answer struct {
	i   int
	m   *nats.Msg
	err error
}

// ask returns the answers in the order of the requests. done is called when all have
// arrived, which may be after ask has given up.
func (r *Scanner) ask(ctx context.Context, from uint64, width int, done func()) ([]answer, error) {
	answers := make(chan answer, width)
	for i := range width {
		ask := `{"seq":` + wire.FormatUint(from+uint64(i)) + `,"next_by_subj":">"}`
		r.W.Ask(&nats.Msg{Subject: wire.ReplicaGet(r.Stream), Data: []byte(ask)},
			func(m *nats.Msg, err error) { answers <- answer{i, m, err} })
	}
	all := make([]answer, width)
	for n := range width {
		select {
		case a := <-answers:
			all[a.i] = a
		case <-ctx.Done():
			go func() { // each request is answered or times out in the end
				defer done()
				for range width - n {
					<-answers
				}
			}()
			return nil, fmt.Errorf("%w: couldn't read: %v", job.ErrUnavailable, ctx.Err())
		}
	}
	done()
	return all, nil
}
