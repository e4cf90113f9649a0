package backup

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/journal"
)

const (
	// catchUps is how often a walk looks for what has arrived since it began, before it
	// accepts that there is always something new.
	catchUps = 100
	// readBytes bounds what a walk reads ahead; it is more than one message can have.
	readBytes = 8 << 20
	// readWait is how long the next message may take after the server has said that there
	// is one.
	readWait = time.Second
)

// lastOf returns the last sequence of a stream, as its leader has it.
func (b *Backups) lastOf(ctx context.Context, stream string) (uint64, error) {
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		return 0, journal.Unavailable("couldn't look at the stream "+stream, err)
	}
	return s.CachedInfo().State.LastSeq, nil
}

// readToEnd hands the messages on a subject to visit, in the order of their sequences. It
// starts at the sequence from and ends at until, or when the leader has no more. If more
// keep coming, it follows them catchUps times; then it misses only what changed after the
// last time.
func (b *Backups) readToEnd(ctx context.Context, stream, subject string, from, until uint64, visit func(journal.Stored) error) error {
	next := max(from, 1)
	pause := journal.NewBackOff(50*time.Millisecond, time.Second)
	for rounds, failures := 0, 0; next <= until; {
		before := next
		failed, err := b.readSome(ctx, stream, subject, &next, until, visit)
		if err != nil {
			return err
		}
		if next > before {
			failures = 0
			pause.Reset()
		}
		_, found, unasked := b.w.NextOnLeader(ctx, stream, subject, next)
		if unasked == nil && !found {
			return nil
		}
		if failed == nil {
			if rounds++; unasked == nil && rounds > catchUps {
				return nil
			}
			failed = unasked
		}
		if failed != nil {
			const most = 10
			if failures++; failures > most || !journal.Sleep(ctx, pause.NextBackOff()) {
				return journal.Unavailable("couldn't read "+stream, failed)
			}
		}
	}
	return nil
}

// readSome reads until the server says that there is no more, and advances next. failed
// is an error of the read, err an error of visit.
func (b *Backups) readSome(ctx context.Context, stream, subject string, next *uint64, until uint64, visit func(journal.Stored) error) (failed, err error) {
	c, err := b.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects:   []string{subject},
		DeliverPolicy:    jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:      *next,
		MaxResetAttempts: 1,
	})
	if err != nil {
		return err, nil
	}
	defer func() { _ = b.js.DeleteConsumer(ctx, stream, c.CachedInfo().Name) }() // otherwise it expires by itself
	if c.CachedInfo().NumPending == 0 {
		return nil, nil
	}
	messages, err := c.Messages(jetstream.PullHeartbeat(journal.TailHeartbeat), jetstream.PullMaxMessagesWithBytesLimit(journal.ReadAtOnce, readBytes))
	if err != nil {
		return err, nil
	}
	defer messages.Stop()
	for {
		// The server counts how many messages are left; if the count is wrong, this ends
		// the wait. It is a context, so that it also ends the creation of another
		// consumer.
		wait, cancel := context.WithTimeout(ctx, readWait)
		m, err := messages.Next(jetstream.NextContext(wait))
		cancel()
		if err != nil {
			return err, nil
		}
		at, err := m.Metadata()
		if err != nil {
			return err, nil
		}
		if at.Sequence.Stream > until {
			*next = at.Sequence.Stream
			return nil, nil
		}
		if err := visit(journal.Stored{Subject: m.Subject(), Seq: at.Sequence.Stream, Header: m.Headers(), Data: m.Data(), Time: at.Timestamp}); err != nil {
			return nil, err
		}
		*next = at.Sequence.Stream + 1
		if at.NumPending == 0 {
			return nil, nil
		}
	}
}
