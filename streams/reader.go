package streams

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"belfry/internal/job"
)

// reader reads the messages of a jobs bucket that are on its subject, in the
// order of their sequences. It asks any replica, which may be behind: it never
// takes one that has not heard of a message yet for a proof that there is none.
// So what is there all the time is read at least once: a record that changes
// meanwhile gets a higher sequence, and only the leader is believed that there
// is nothing higher.
//
// JetStream counts what is left for each batch and for each consumer, which
// takes it time in proportion to all messages that match, 50 to 100 ms for a
// million. So a batch is read only of a subject that few match; a crowd is
// read one message at a time, many such questions under way, and what it has
// too much is left out here.
type reader struct {
	js      jetstream.JetStream
	w       *writer
	stream  string
	subject string
	narrow  bool
}

const (
	// crowd is how many matches are too many to count for each page.
	crowd = 20_000
	// batchMost and batchBytes bound what one batch has.
	batchMost  = 500
	batchBytes = 4 << 20
	// questionsMost is how many messages of a crowd are asked for at once.
	questionsMost = 64
)

// read hands the messages from the sequence from on to visit, until visit wants
// no more, until is past, or there are none. next is where to go on, and ended
// says that this was the end.
func (r *reader) read(ctx context.Context, from uint64, until time.Time, visit func(stored) (more bool)) (next uint64, ended bool, err error) {
	next = max(from, 1)
	width := questionsMost
	for {
		found, err := r.some(ctx, next, width)
		if err != nil {
			return next, false, err
		}
		width = min(max(2*len(found), 4), questionsMost)
		if len(found) == 0 {
			m, exists, err := r.w.nextOnLeader(ctx, r.stream, r.filter(), next)
			if err != nil || !exists {
				return next, err == nil, err
			}
			found = append(found, m)
		}
		for _, m := range found {
			next = m.Seq + 1
			if !visit(m) {
				return next, false, nil
			}
		}
		if time.Now().After(until) {
			return next, false, nil
		}
	}
}

func (r *reader) filter() string {
	if r.narrow {
		return r.subject
	}
	return ">"
}

// some returns messages from the sequence from on, all up to the last of them.
func (r *reader) some(ctx context.Context, from uint64, width int) ([]stored, error) {
	if r.narrow {
		return r.batch(ctx, from)
	}
	return r.questions(ctx, from, width)
}

// batch is one answer of one replica. One that has a gap, after a connection
// that broke, ends before it.
func (r *reader) batch(ctx context.Context, from uint64) (found []stored, err error) {
	messages, err := jetstreamext.GetBatch(ctx, r.js, r.stream, batchMost, jetstreamext.GetBatchSeq(from),
		jetstreamext.GetBatchSubject(r.subject), jetstreamext.GetBatchMaxBytes(batchBytes))
	if err != nil {
		return nil, unavailable("couldn't read jobs", err)
	}
	last := uint64(0)
	for m, err := range messages {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return found, nil
		case err != nil:
			return nil, unavailable("couldn't read jobs", err)
		case m.Header.Get(hdrLastSequence) != formatUint(last):
			return found, nil
		}
		last = m.Sequence
		found = append(found, stored{Subject: m.Subject, Seq: m.Sequence, Header: m.Header, Data: m.Data})
	}
	return found, nil
}

// questions asks for the first message at or behind each of width sequences.
// Each answer is of a replica that has heard of all up to its message, so the
// sequences it left out are gone. One that knows of none proves nothing, and
// nor do the answers to the questions after it.
func (r *reader) questions(ctx context.Context, from uint64, width int) ([]stored, error) {
	type answer struct {
		i   int
		m   *nats.Msg
		err error
	}
	answers := make(chan answer, width)
	for i := range width {
		ask := `{"seq":` + formatUint(from+uint64(i)) + `,"next_by_subj":">"}`
		r.w.ask(&nats.Msg{Subject: replicaGet(r.stream), Data: []byte(ask)},
			func(m *nats.Msg, err error) { answers <- answer{i, m, err} })
	}
	all := make([]answer, width)
	for range width {
		select {
		case a := <-answers:
			all[a.i] = a
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: couldn't read: %v", job.ErrUnavailable, ctx.Err())
		}
	}
	var found []stored
	for _, a := range all {
		if a.err != nil {
			return nil, fmt.Errorf("%w: couldn't read: %v", job.ErrUnavailable, a.err)
		}
		m, exists, err := replicaAnswer(a.m)
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
