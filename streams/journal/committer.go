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

// Committer groups concurrent writes to one stream on a server that syncs each write.
// Such a server syncs once per message, but an atomic batch costs about four syncs
// whatever its size (docs/design.md has the figures). So a few writes go out at once and
// alone; when many wait, they go as one batch. Each caller gets the answer to its own
// write. A Committer is safe for concurrent use.
type Committer struct {
	js        jetstream.JetStream
	requester *Requester
	metrics   *metrics.Streams
	health    *Health // may be nil

	// maxPlain is how many single writes may be under way at once. If it is 1, a batch
	// waits for that write, too.
	maxPlain int
	// batchFrom is how many waiting writes are worth a batch.
	batchFrom int
	// replicated means that one server may have stored what another refused, so the
	// committer never sends a write twice.
	replicated bool
	batchBytes int // bounds a batch

	mu       sync.Mutex // guards what follows
	queue    []*pendingWrite
	limit    int  // the most writes in one batch
	plain    int  // single writes under way
	batching bool // a batch is under way
}

// pendingWrite is a write that waits for its turn and then for its answer.
type pendingWrite struct {
	msg  *nats.Msg
	done func(seq uint64, err error)
}

const (
	// worthHalving is the smallest part of a refused batch that is tried as a batch
	// again. Below it, single writes are cheaper.
	worthHalving = 64
	// maxBatch and maxBatchBytes bound a batch; the server takes 1,000.
	maxBatch      = 1000
	maxBatchBytes = 4 << 20
)

// NewCommitter returns a committer that sends single writes through a. replicated says
// that the streams have more than one replica.
func NewCommitter(js jetstream.JetStream, a *Requester, m *metrics.Streams, replicated bool) *Committer {
	c := &Committer{js: js, requester: a, metrics: m, maxPlain: 2, batchFrom: 8, limit: maxBatch, batchBytes: maxBatchBytes}
	if replicated {
		c.replicated, c.maxPlain, c.batchFrom = true, 1, 2
	}
	return c
}

// Submit sends m, alone or in a batch, and has done called once with the answer, as
// [Requester.Publish] does. The caller must not touch m until then. withdraw takes back a
// write that still waits for its turn and reports whether it did; done is not called
// then.
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

// alone sends one write, already counted as plain, by itself.
func (c *Committer) alone(w *pendingWrite) {
	if err := c.health.Refused(c.requester.Names.StreamOf(w.msg.Subject)); err != nil {
		go func() { // in a goroutine, since ended calls alone for the next write
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

// ended records that a plain write or a batch is finished, and starts the writes that may
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

// next takes the writes that may start now from the queue. The caller holds c.mu.
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

// takeBatch takes the oldest waiting writes, one for each subject: two that compare with
// the same revision cannot both succeed. The others keep their order.
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

// written lets batches grow again after a refusal made them smaller. It does so once a
// batch of the current limit has succeeded. The caller holds c.mu.
func (c *Committer) written(n int) {
	if n >= c.limit {
		c.limit = min(2*c.limit, maxBatch)
	}
}

// commit writes the batch as one. A refusal does not say which write caused it, so commit
// tries the halves, down to single writes. On a replicated stream it passes the refusal
// to each caller instead and makes the next batches smaller, so that a write that spoils
// its batch ends up alone.
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
		// Each caller resolves the outcome of its own write.
		failed(batch, err)
	}
}

// failed gives all members of a batch the error; they may send their messages again.
func failed(batch []*pendingWrite, err error) {
	for _, w := range batch {
		unbatch(w.msg)
		w.done(0, err)
	}
}

// unbatch removes the headers of a batch from a message.
func unbatch(m *nats.Msg) {
	for _, name := range []string{jetstreamext.BatchIDHeader, jetstreamext.BatchSeqHeader, jetstreamext.BatchCommitHeader} {
		m.Header.Del(name)
	}
}

// eachAlone sends the members of a batch one by one, a few at a time, and returns when
// all are answered.
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
	all.Wait() // it returns no error: each write answers its caller
}
