package journal

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// bareMost is how many messages are read at once without their data, and bareBytes
	// the most that each has. bareWait is how long the next one may take after the server
	// has said that there is one.
	bareMost  = 500
	bareBytes = 2 << 10
	bareWait  = time.Second
	// bareBehind bounds the data that the server reads to produce them: it locks the
	// stream meanwhile, and its blocks have 8 MB.
	bareBehind = 8 << 20
)

// bare reads through a consumer of its own, on whichever replica gets it, without the
// data.
func (r *Scanner) bare(ctx context.Context, from uint64) (found []Stored, err error) {
	most := min(bareMost, max(bareBehind*r.messages/r.bytes, 1)) // by the average size so far
	done, err := r.W.TakeReads(ctx, int64(most)*bareBytes)
	if err != nil {
		return nil, Unavailable("couldn't read jobs", err)
	}
	defer done()
	c, err := r.JS.OrderedConsumer(ctx, r.Stream, jetstream.OrderedConsumerConfig{
		HeadersOnly:       true,
		FilterSubjects:    []string{r.filter()},
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       from,
		MaxResetAttempts:  1,
		InactiveThreshold: 10 * time.Second,
	})
	if err != nil {
		return nil, Unavailable("couldn't read jobs", err)
	}
	// A consumer that cannot be deleted now expires by itself.
	defer func() { _ = r.JS.DeleteConsumer(context.WithoutCancel(ctx), r.Stream, c.CachedInfo().Name) }()
	if c.CachedInfo().NumPending == 0 {
		return nil, nil
	}
	messages, err := c.Messages(jetstream.PullMaxMessages(most))
	if err != nil {
		return nil, Unavailable("couldn't read jobs", err)
	}
	defer messages.Stop()
	for len(found) < most {
		m, err := messages.Next(jetstream.NextMaxWait(bareWait))
		switch {
		case errors.Is(err, nats.ErrTimeout) && ctx.Err() == nil:
			return found, nil // gone meanwhile; the leader says whether that was all
		case err != nil:
			return nil, Unavailable("couldn't read jobs", err)
		}
		at, err := m.Metadata()
		if err != nil {
			return nil, err
		}
		found = append(found, Stored{Subject: m.Subject(), Seq: at.Sequence.Stream, Header: m.Headers(), Bare: true})
		if at.NumPending == 0 {
			break
		}
	}
	return found, nil
}
