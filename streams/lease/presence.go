package lease

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/journal"
	"belfry/streams/wire"
)

// presence says when a key was last seen written, and with what value.
type presence struct {
	node     string
	revision uint64
	at       time.Time
}

// revision returns the last revision seen of a key, 0 for none.
func (l *Leases) revision(key string) *uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	revision := l.seen[key].revision
	return &revision
}

// write writes our name under a key, over the revision expect if it is given, and reports
// whether it did.
func (l *Leases) write(ctx context.Context, key string, expect *uint64) bool {
	m := &nats.Msg{Subject: l.w.Names.BelfrySubject(key), Header: nats.Header{wire.HeaderTTL: {PresenceTTL.String()}}, Data: []byte(l.node)}
	if expect != nil {
		m.Header[wire.HeaderExpectSubjectSeq] = []string{wire.FormatUint(*expect)}
	}
	seq, err := l.w.Send(ctx, m)
	l.tried(key, err)
	if errors.Is(err, journal.ErrConflict) && expect != nil {
		l.lookAgain(ctx, key, *expect)
	}
	if err != nil {
		return false // the next heartbeat tries again
	}
	l.saw(key, presence{node: l.node, revision: seq, at: time.Now()})
	return true
}

// lookAgain finds out why a key has another revision than we last saw. The marker of a
// deleted key expires, too, and a watch that was cut off meanwhile never shows that.
func (l *Leases) lookAgain(ctx context.Context, key string, revision uint64) {
	m, found, err := l.w.LastOnLeader(ctx, l.w.Names.BelfryStream(), l.w.Names.BelfrySubject(key))
	switch {
	case err != nil:
	case !found:
		l.mu.Lock()
		if l.seen[key].revision == revision {
			delete(l.seen, key)
		}
		l.mu.Unlock()
	case wire.IsMarker(m.Header):
		l.saw(key, presence{revision: m.Seq, at: time.Now().Add(-leaseExpiry)})
	default:
		l.saw(key, presence{node: string(m.Data), revision: m.Seq, at: time.Now()})
	}
}

// erase deletes a key that has our name. If it fails, the key expires.
func (l *Leases) erase(ctx context.Context, key string) {
	if err := l.eraseAt(ctx, key, *l.revision(key)); !errors.Is(err, journal.ErrConflict) {
		return
	}
	// The conflict may come from a last heartbeat of ours, whose answer nobody waited
	// for.
	m, found, err := l.w.LastOnLeader(ctx, l.w.Names.BelfryStream(), l.w.Names.BelfrySubject(key))
	if err == nil && found && string(m.Data) == l.node {
		_ = l.eraseAt(ctx, key, m.Seq)
	}
}

func (l *Leases) eraseAt(ctx context.Context, key string, revision uint64) error {
	m := wire.PurgeMarker(l.w.Names.BelfrySubject(key), PresenceTTL)
	m.Header[wire.HeaderExpectSubjectSeq] = []string{wire.FormatUint(revision)}
	_, err := l.w.Send(ctx, m)
	return err
}

func (l *Leases) saw(key string, s presence) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.revision > l.seen[key].revision {
		l.seen[key] = s
	}
}

// watch records what is written to the bucket belfry, until ctx ends.
func (l *Leases) watch(ctx context.Context) {
	journal.WatchKeys(ctx, l.js, l.cfg.Log, l.cfg.Metrics.Panicked, l.w.Names.BelfryBucket(), ">", func(e jetstream.KeyValueEntry) {
		if e != nil && l.watchClock(e) {
			return
		}
		switch {
		case e == nil || !wire.IsPresence(e.Key()):
		case e.Operation() != jetstream.KeyValuePut:
			l.gone(ctx, e)
		default:
			l.saw(e.Key(), presence{node: string(e.Value()), revision: e.Revision(), at: time.Now()})
		}
	})
}

// watchClock records what an entry says about clocks, and reports whether the entry says
// nothing else.
func (l *Leases) watchClock(e jetstream.KeyValueEntry) bool {
	node, clock := strings.CutPrefix(e.Key(), wire.ClockPrefix)
	put := e.Operation() == jetstream.KeyValuePut
	switch {
	case clock && put:
		l.clocks.heard(node, e.Value())
	case clock:
		l.clocks.left(node)
	case put && e.Key() == wire.NodeKey(l.node):
		l.clocks.brought(e.Revision(), e.Created())
	case !put && strings.HasPrefix(e.Key(), wire.NodePrefix):
		l.clocks.left(strings.TrimPrefix(e.Key(), wire.NodePrefix))
	}
	return clock
}

// gone records that a key was deleted. A released lease is taken at once rather than at
// the next heartbeat.
func (l *Leases) gone(ctx context.Context, e jetstream.KeyValueEntry) {
	l.saw(e.Key(), presence{revision: e.Revision(), at: time.Now().Add(-leaseExpiry)})
	p, ok := wire.ParseLeaseKey(e.Key(), len(l.partitions))
	if !ok {
		return
	}
	l.mu.Lock()
	room := !l.held[p] && len(l.held) < share(len(l.partitions), 1+l.others())
	l.mu.Unlock()
	if room && ctx.Err() == nil && l.write(ctx, wire.LeaseKey(p), l.revision(wire.LeaseKey(p))) {
		l.own(ctx, p)
	}
}
