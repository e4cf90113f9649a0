package journal

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// bareMost is how many of these are read at once, bareBytes what each has
	// at most, and bareWait how long the next one may take, of which the server
	// has said that it is there.
	bareMost  = 500
	bareBytes = 2 << 10
	bareWait  = time.Second
	// bareBehind bounds the data that the server reads for them at once: it locks
	// the stream meanwhile, and its blocks have 8 MB.
	bareBehind = 8 << 20
)

// bare reads by a consumer of its own, on whichever replica that is, and without
// the data.
func (r *Scanner) bare(ctx context.Context, from uint64) (found []Stored, err error) {
	most := min(bareMost, max(bareBehind*r.messages/r.bytes, 1)) // by what was met so far
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
	// One that cannot be deleted now ends by itself.
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
			return found, nil // gone meanwhile; the leader is asked if it was all
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
