package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"golang.org/x/sync/errgroup"

	"belfry/internal/metrics"
	"belfry/streams/wire"
)

// Committer groups concurrent writes to one stream of a server that syncs each
// write. Such a server syncs once a message, but an atomic batch costs about
// four syncs whatever its size (docs/design.md has the figures). So a few
// writes go out at once and by themselves; when many wait, they go as one
// batch. Each caller gets the answer to its own write. It is safe for
// concurrent use.
type Committer struct {
	js        jetstream.JetStream
	requester *Requester
	metrics   *metrics.Streams
	health    *Health // nil for none

	// maxPlain is how many writes go out by themselves before others wait. If
	// it is 1, a batch waits for that one too.
	maxPlain int
	// batchFrom is how many waiting writes are worth a batch.
	batchFrom int
	// replicated streams may have taken what one server refused, so nothing is
	// sent twice from here.
	replicated bool
	batchBytes int // bounds a batch

	mu       sync.Mutex // guards what follows
	queue    []*pendingWrite
	limit    int  // of a batch
	plain    int  // single writes under way
	batching bool // a batch is under way
}

// pendingWrite waits for its turn, and then for its answer.
type pendingWrite struct {
	msg  *nats.Msg
	done func(seq uint64, err error)
}

const (
	// worthHalving is the least part of a refused batch that is tried as a
	// batch again; smaller ones are cheaper write by write.
	worthHalving = 64
	// maxBatch and maxBatchBytes bound a batch; the server takes 1,000.
	maxBatch      = 1000
	maxBatchBytes = 4 << 20
)

// NewCommitter makes one that asks by a. replicated says that the streams have more
// than one replica.
func NewCommitter(js jetstream.JetStream, a *Requester, m *metrics.Streams, replicated bool) *Committer {
	c := &Committer{js: js, requester: a, metrics: m, maxPlain: 2, batchFrom: 8, limit: maxBatch, batchBytes: maxBatchBytes}
	if replicated {
		c.replicated, c.maxPlain, c.batchFrom = true, 1, 2
	}
	return c
}

// Submit sends m, alone or with others, and has done called once with the
// answer, as [Requester.Publish] does. Until then m is not the caller's. withdraw
// takes back a write that still waits for its turn: then done is not called.
func (c *Committer) Submit(m *nats.Msg, done func(seq uint64, err error)) (withdraw func() bool) {
	w := &pendingWrite{msg: m, done: done}
	c.mu.Lock()
	now := !c.batching && len(c.queue) == 0 && c.plain < c.maxPlain
	if now {
		c.plain++
	} else {
		c.queue = append(c.queue, w)
	}
	c.mu.Unlock()
	if now {
		c.alone(w)
	}
	return func() bool { return c.withdraw(w) }
}

func (c *Committer) withdraw(w *pendingWrite) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.queue, w)
	if i >= 0 {
		c.queue = slices.Delete(c.queue, i, i+1)
	}
	return i >= 0
}

// alone sends one write that counts as plain by itself.
func (c *Committer) alone(w *pendingWrite) {
	if err := c.health.Refused(c.requester.Names.StreamOf(w.msg.Subject)); err != nil {
		go func() { // not here, where the next one would be started in turn
			c.ended(func() { c.plain-- })
			c.requester.refuse(w.done, err)
		}()
		return
	}
	c.metrics.SentAlone()
	c.requester.Publish(w.msg, func(seq uint64, err error) {
		c.ended(func() {
			c.plain--
			if err == nil {
				c.written(1)
			}
		})
		w.done(seq, err)
	})
}

// ended takes in that a plain write or a batch is through, and starts what may
// start now.
func (c *Committer) ended(count func()) {
	c.mu.Lock()
	count()
	batch, alone := c.next()
	c.mu.Unlock()
	if batch != nil {
		go func() {
			defer c.ended(func() { c.batching = false })
			c.commit(batch, false)
		}()
	}
	for _, w := range alone {
		c.alone(w)
	}
}

// next takes from the queue what may start now; c.mu is held.
func (c *Committer) next() (batch, alone []*pendingWrite) {
	switch {
	case c.batching:
	case min(len(c.queue), c.limit) >= c.batchFrom:
		if c.maxPlain > 1 || c.plain == 0 {
			c.batching = true
			batch = c.takeBatch()
		}
	default:
		n := min(len(c.queue), c.maxPlain-c.plain)
		c.plain += n
		alone, c.queue = c.queue[:n:n], c.queue[n:]
	}
	return batch, alone
}

// takeBatch takes the oldest waiting writes, of each subject one: two that
// compare with the same revision cannot both be right. The others keep their
// order.
func (c *Committer) takeBatch() []*pendingWrite {
	var batch, rest []*pendingWrite
	subjects := make(map[string]bool, min(len(c.queue), maxBatch))
	bytes := 0
	for i, w := range c.queue {
		if len(batch) == c.limit || bytes >= c.batchBytes {
			rest = append(rest, c.queue[i:]...)
			break
		}
		if w.msg.Header.Get(wire.HeaderExpectSubject) == "" && subjects[w.msg.Subject] {
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

// written has batches grow again that a refusal has made smaller, once one is
// through that was as large as they may be; c.mu is held.
func (c *Committer) written(n int) {
	if n >= c.limit {
		c.limit = min(2*c.limit, maxBatch)
	}
}

// commit writes the batch as one. When it is refused, which does not tell for
// whose sake, its halves are tried, down to single writes. Of a replicated stream
// each caller is told of the refusal instead, and the next batches are smaller, so
// that a write that spoils its batch is alone at last.
func (c *Committer) commit(batch []*pendingWrite, halved bool) {
	if len(batch) < c.batchFrom || halved && len(batch) <= worthHalving {
		c.eachAlone(batch)
		return
	}
	if err := c.health.Refused(c.requester.Names.StreamOf(batch[0].msg.Subject)); err != nil {
		failed(batch, err)
		return
	}
	msgs := make([]*nats.Msg, len(batch))
	for i, w := range batch {
		msgs[i] = w.msg
	}
	ctx, cancel := context.WithTimeout(context.Background(), AnswerWait)
	defer cancel()
	c.metrics.SentBatch(len(batch))
	ack, err := jetstreamext.PublishMsgBatch(ctx, c.js, msgs, jetstreamext.BatchFlowControl{})
	if want := c.requester.Names.StreamOf(msgs[0].Subject); err == nil && want != "" && ack.Stream != want {
		err = fmt.Errorf("%w: %s took messages for %s", errOtherStream, ack.Stream, want)
	}
	var refused *jetstream.APIError
	switch {
	case err == nil:
		c.mu.Lock()
		c.written(len(batch))
		c.mu.Unlock()
		first := ack.Sequence - uint64(len(batch)) + 1
		for i, w := range batch {
			w.done(first+uint64(i), nil)
		}
	case errors.As(err, &refused) && c.replicated:
		c.metrics.BatchRefused()
		c.mu.Lock()
		c.limit = max(len(batch)/2, 1)
		c.mu.Unlock()
		failed(batch, err)
	case errors.As(err, &refused):
		c.metrics.BatchRefused()
		c.commit(batch[:len(batch)/2], true)
		c.commit(batch[len(batch)/2:], true)
	default:
		// Each caller finds out for itself what became of its write.
		failed(batch, err)
	}
}

// failed answers all members of a batch; they may send their messages again.
func failed(batch []*pendingWrite, err error) {
	for _, w := range batch {
		unbatch(w.msg)
		w.done(0, err)
	}
}

// unbatch takes the marks of a batch off a message.
func unbatch(m *nats.Msg) {
	for _, name := range []string{jetstreamext.BatchIDHeader, jetstreamext.BatchSeqHeader, jetstreamext.BatchCommitHeader} {
		m.Header.Del(name)
	}
}

// eachAlone sends the members of a batch by themselves, a few at once, and
// returns when all are through.
func (c *Committer) eachAlone(batch []*pendingWrite) {
	var all errgroup.Group
	all.SetLimit(c.maxPlain)
	for _, w := range batch {
		unbatch(w.msg)
		all.Go(func() error {
			c.metrics.SentAlone()
			through := make(chan struct{})
			c.requester.Publish(w.msg, func(seq uint64, err error) {
				defer close(through)
				w.done(seq, err)
			})
			<-through
			return nil
		})
	}
	all.Wait() // they have no errors: each answers its caller
}
