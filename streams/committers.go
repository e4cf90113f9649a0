package streams

import (
	"cmp"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/metrics"
	"belfry/streams/wire"
)

// committers hand each write to the committer of its lane, where there is one:
//
//   - One replica, synced: a lane for each jobs bucket and one for FIRES.
//   - One replica, not synced: none, since a batch costs more than it saves.
//   - More replicas: a lane for the fires of each partition, with one write or
//     batch under way, since the server refuses a second one that compares with
//     the same fence. All else goes out by itself: Raft groups the syncs.
type committers struct {
	js         jetstream.JetStream
	asker      *asker
	sync       bool // the only replica syncs each write
	replicated bool
	batchBytes int // bounds a batch; 0 is maxBatchBytes

	metrics *metrics.Streams
	health  *health

	mu    sync.Mutex // guards lanes
	lanes map[string]*committer
}

// submit is [committer.submit]; withdraw is nil for what was sent at once. What
// its stream cannot take now is refused at once.
func (c *committers) submit(m *nats.Msg, done func(seq uint64, err error)) (withdraw func() bool) {
	ended, err := c.health.began(c.asker.names.StreamOf(m.Subject), m.Size())
	if err != nil {
		go c.asker.refuse(done, err)
		return nil
	}
	stream := c.asker.names.StreamOf(m.Subject)
	take := c.hand(m, func(seq uint64, err error) {
		ended(err)
		done(seq, c.health.told(stream, err))
	})
	if take == nil {
		return nil
	}
	return func() bool {
		withdrawn := take()
		if withdrawn {
			ended(errNotSent)
		}
		return withdrawn
	}
}

func (c *committers) hand(m *nats.Msg, done func(seq uint64, err error)) (withdraw func() bool) {
	if lane := c.lane(m); lane != "" {
		return c.committer(lane).submit(m, done)
	}
	c.metrics.SentAlone()
	c.asker.publish(m, done)
	return nil
}

func (c *committers) lane(m *nats.Msg) string {
	fence := m.Header.Get(wire.HeaderExpectSubject)
	switch {
	case c.replicated:
		return fence
	case !c.sync:
		return ""
	case fence != "":
		return c.asker.names.FiresStream()
	}
	return c.asker.names.JobsBucketOf(m.Subject)
}

func (c *committers) committer(lane string) *committer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lanes[lane] == nil {
		if c.lanes == nil {
			c.lanes = map[string]*committer{}
		}
		c.lanes[lane] = newCommitter(c.js, c.asker, c.metrics, c.replicated)
		c.lanes[lane].health = c.health
		c.lanes[lane].batchBytes = cmp.Or(c.batchBytes, maxBatchBytes)
	}
	return c.lanes[lane]
}
