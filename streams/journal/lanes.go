package journal

import (
	"cmp"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/metrics"
	"belfry/streams/wire"
)

// Lanes hands each write to the committer of its lane, where there is one:
//
//   - One replica, synced: a lane for each jobs bucket and one for FIRES.
//   - One replica, not synced: none, since a batch costs more than it saves.
//   - More replicas: a lane for the fires of each partition, with one write or
//     batch under way, since the server refuses a second one that compares with
//     the same fence. All other writes go out alone: Raft groups the syncs.
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

// submit is [Committer.Submit]; withdraw is nil for a write that was sent at once. A
// write to a silent stream is refused at once.
func (l *Lanes) submit(m *nats.Msg, done func(seq uint64, err error)) (withdraw func() bool) {
	ended, err := l.Health.Began(l.Requester.Names.StreamOf(m.Subject), m.Size())
	if err != nil {
		go l.Requester.refuse(done, err)
		return nil
	}
	stream := l.Requester.Names.StreamOf(m.Subject)
	take := l.hand(m, func(seq uint64, err error) {
		ended(err)
		done(seq, l.Health.told(stream, err))
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

func (l *Lanes) hand(m *nats.Msg, done func(seq uint64, err error)) (withdraw func() bool) {
	if lane := l.lane(m); lane != "" {
		return l.committer(lane).Submit(m, done)
	}
	l.Metrics.SentAlone()
	l.Requester.Publish(m, done)
	return nil
}

func (l *Lanes) lane(m *nats.Msg) string {
	fence := m.Header.Get(wire.HeaderExpectSubject)
	switch {
	case l.Replicated:
		return fence
	case !l.Sync:
		return ""
	case fence != "":
		return l.Requester.Names.FiresStream()
	}
	return l.Requester.Names.JobsBucketOf(m.Subject)
}

func (l *Lanes) committer(lane string) *Committer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lanes[lane] == nil {
		if l.lanes == nil {
			l.lanes = map[string]*Committer{}
		}
		l.lanes[lane] = NewCommitter(l.JS, l.Requester, l.Metrics, l.Replicated)
		l.lanes[lane].health = l.Health
		l.lanes[lane].batchBytes = cmp.Or(l.BatchBytes, maxBatchBytes)
	}
	return l.lanes[lane]
}
