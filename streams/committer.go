package streams

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"golang.org/x/sync/errgroup"
)

// committer groups concurrent writes to one stream of a server that syncs each
// write. Such a server syncs once a message, but an atomic batch costs about
// four syncs whatever its size (docs/design.md has the figures). So a few
// writes go out at once and by themselves; when many wait, they go as one
// batch. Each caller gets the true answer of its own write. It is safe for
// concurrent use.
type committer struct {
	js jetstream.JetStream

	// maxPlain is how many writes go out by themselves before others wait. If
	// it is 1, a batch waits for that one too.
	maxPlain int
	// batchFrom is how many waiting writes are worth a batch.
	batchFrom int

	mu       sync.Mutex // guards what follows
	queue    []*pendingWrite
	plain    int  // single writes under way
	batching bool // a batch is under way
}

// pendingWrite waits for its turn, and then for its answer.
type pendingWrite struct {
	msg    *nats.Msg
	answer chan writeAnswer
}

type writeAnswer struct {
	ack *jetstream.PubAck
	err error
}

const (
	// worthHalving is the least part of a refused batch that is tried as a
	// batch again; smaller ones are cheaper write by write.
	worthHalving = 64
	// maxBatch and maxBatchBytes bound a batch; the server takes 1,000.
	maxBatch      = 1000
	maxBatchBytes = 4 << 20
)

// publish sends m, alone or with others, and waits for its answer. It has the
// errors of [jetstream.JetStream.PublishMsg].
func (c *committer) publish(ctx context.Context, m *nats.Msg, _ ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	c.mu.Lock()
	if !c.batching && len(c.queue) == 0 && c.plain < c.maxPlain {
		c.plain++
		c.mu.Unlock()
		ack, err := c.js.PublishMsg(ctx, m)
		c.plainDone()
		return ack, err
	}
	// A copy, since a caller that gives up may send m again while it is here.
	own := &nats.Msg{Subject: m.Subject, Header: maps.Clone(m.Header), Data: m.Data}
	w := &pendingWrite{msg: own, answer: make(chan writeAnswer, 1)}
	c.queue = append(c.queue, w)
	c.mu.Unlock()
	select {
	case a := <-w.answer:
		return a.ack, a.err
	case <-ctx.Done():
	}
	if c.withdraw(w) {
		return nil, errWithdrawn
	}
	// Under way. A caller that sent it again would meet its own first copy,
	// and spoil the batch that it is in.
	a := <-w.answer
	return a.ack, a.err
}

// errWithdrawn: the write waited too long for its turn, and was not sent.
var errWithdrawn = errors.New("too many writes are waiting")

func (c *committer) withdraw(w *pendingWrite) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.queue, w)
	if i >= 0 {
		c.queue = slices.Delete(c.queue, i, i+1)
	}
	return i >= 0
}

func (c *committer) plainDone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plain--
	c.next()
}

func (c *committer) batchDone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batching = false
	c.next()
}

// next starts what may start now; c.mu is held.
func (c *committer) next() {
	for len(c.queue) > 0 && !c.batching {
		switch {
		case len(c.queue) >= c.batchFrom && (c.maxPlain > 1 || c.plain == 0):
			batch := c.takeBatch()
			c.batching = true
			go func() {
				defer c.batchDone()
				c.commit(batch, false)
			}()
		case c.plain < c.maxPlain:
			w := c.queue[0]
			c.queue = slices.Delete(c.queue, 0, 1)
			c.plain++
			go func() {
				defer c.plainDone()
				c.alone(w)
			}()
		default:
			return
		}
	}
}

// takeBatch takes the oldest waiting writes, of each subject one: two that
// compare with the same revision cannot both be right. The others keep their
// order.
func (c *committer) takeBatch() []*pendingWrite {
	var batch, rest []*pendingWrite
	subjects := make(map[string]bool, min(len(c.queue), maxBatch))
	bytes := 0
	for i, w := range c.queue {
		if len(batch) == maxBatch || bytes >= maxBatchBytes {
			rest = append(rest, c.queue[i:]...)
			break
		}
		if w.msg.Header.Get(hdrExpectSubject) == "" && subjects[w.msg.Subject] {
			rest = append(rest, w)
			continue
		}
		subjects[w.msg.Subject] = true
		bytes += w.msg.Size()
		batch = append(batch, w)
	}
	c.queue = rest
	return batch
}

// commit writes the batch as one. When it is refused, which does not tell for
// whose sake, its halves are tried, down to single writes.
func (c *committer) commit(batch []*pendingWrite, halved bool) {
	if len(batch) < c.batchFrom || halved && len(batch) <= worthHalving {
		var all errgroup.Group
		all.SetLimit(c.maxPlain)
		for _, w := range batch {
			all.Go(func() error { c.alone(w); return nil })
		}
		all.Wait() // they have no errors: each answers its caller
		return
	}
	msgs := make([]*nats.Msg, len(batch))
	for i, w := range batch {
		msgs[i] = w.msg
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerWait)
	defer cancel()
	ack, err := jetstreamext.PublishMsgBatch(ctx, c.js, msgs, jetstreamext.BatchFlowControl{})
	var refused *jetstream.APIError
	switch {
	case err == nil:
		first := ack.Sequence - uint64(len(batch)) + 1
		for i, w := range batch {
			w.answer <- writeAnswer{ack: &jetstream.PubAck{Stream: ack.Stream, Sequence: first + uint64(i)}}
		}
	case errors.As(err, &refused):
		c.commit(batch[:len(batch)/2], true)
		c.commit(batch[len(batch)/2:], true)
	default:
		// Each caller finds out for itself what became of its write.
		for _, w := range batch {
			w.answer <- writeAnswer{err: err}
		}
	}
}

// alone sends one write by itself.
func (c *committer) alone(w *pendingWrite) {
	for _, name := range []string{jetstreamext.BatchIDHeader, jetstreamext.BatchSeqHeader, jetstreamext.BatchCommitHeader} {
		w.msg.Header.Del(name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerWait)
	defer cancel()
	ack, err := c.js.PublishMsg(ctx, w.msg)
	w.answer <- writeAnswer{ack: ack, err: err}
}
