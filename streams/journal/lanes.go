package journal

import (
	"cmp"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/metrics"
	"belfry/streams/wire"
)

// Lanes hand each write to the committer of its lane, where there is one:
//
//   - One replica, synced: a lane for each jobs bucket and one for FIRES.
//   - One replica, not synced: none, since a batch costs more than it saves.
//   - More replicas: a lane for the fires of each partition, with one write or
//     batch under way, since the server refuses a second one that compares with
//     the same fence. All else goes out by itself: Raft groups the syncs.
type Lanes struct {
	JS         jetstream.JetStream
	Requester  *Requester
	Sync       bool // the only replica syncs each write
	Replicated bool
	BatchBytes int // bounds a batch; 0 is maxBatchBytes

	Metrics *metrics.Streams
	Health  *Health

	mu    sync.Mutex // guards lanes
	lanes map[string]*Committer
}

// submit is [Committer.Submit]; withdraw is nil for what was sent at once. What
// its stream cannot take now is refused at once.
func (c *Lanes) submit(m *nats.Msg, done func(seq uint64, err error)) (withdraw func() bool) {
	ended, err := c.Health.Began(c.Requester.Names.StreamOf(m.Subject), m.Size())
	if err != nil {
		go c.Requester.refuse(done, err)
		return nil
	}
	stream := c.Requester.Names.StreamOf(m.Subject)
	take := c.hand(m, func(seq uint64, err error) {
		ended(err)
		done(seq, c.Health.told(stream, err))
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

func (c *Lanes) hand(m *nats.Msg, done func(seq uint64, err error)) (withdraw func() bool) {
	if lane := c.lane(m); lane != "" {
		return c.committer(lane).Submit(m, done)
	}
	c.Metrics.SentAlone()
	c.Requester.Publish(m, done)
	return nil
}

func (c *Lanes) lane(m *nats.Msg) string {
	fence := m.Header.Get(wire.HeaderExpectSubject)
	switch {
	case c.Replicated:
		return fence
	case !c.Sync:
		return ""
	case fence != "":
		return c.Requester.Names.FiresStream()
	}
	return c.Requester.Names.JobsBucketOf(m.Subject)
}

func (c *Lanes) committer(lane string) *Committer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lanes[lane] == nil {
		if c.lanes == nil {
			c.lanes = map[string]*Committer{}
		}
		c.lanes[lane] = NewCommitter(c.JS, c.Requester, c.Metrics, c.Replicated)
		c.lanes[lane].health = c.Health
		c.lanes[lane].batchBytes = cmp.Or(c.BatchBytes, maxBatchBytes)
	}
	return c.lanes[lane]
}
