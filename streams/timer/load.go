package timer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
	"belfry/streams/due"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// loaded is the result of a load: the record, or that it is gone, or that it could not be
// read now.
type loaded struct {
	seq  uint64
	rec  job.Record
	gone bool
	err  error
}

// beginLoad reads the record at seq from any replica and tells the loop. If the answer
// settles nothing, a goroutine asks again.
func (t *Timer) beginLoad(seq uint64) {
	t.w.Ask(journal.AskSeq(t.w.Names.JobsStream(t.partition), seq), func(answer *nats.Msg, err error) {
		if t.work.Err() != nil {
			return
		}
		if err == nil {
			if m, found, err := journal.ReplicaAnswer(answer); err == nil && found {
				select { // has room for nearly all that can be under way
				case t.loads <- t.loadedFrom(m):
				case <-t.work.Done():
				}
				return
			}
		}
		t.start(func(ctx context.Context) {
			select {
			case t.loads <- t.load(ctx, seq):
			case <-ctx.Done():
			}
		})
	})
}

// unloadIdle unloads the records of a partition that is no longer ours, or that accepts
// no claims, since others need the room. Claims give back their own room.
func (t *Timer) unloadIdle() {
	if !t.wanted || t.stalled() {
		t.hungry.Store(false)
		t.queue.PutBack()
	}
}

// load reads the record at seq. Only the leader can say that it is gone, and only if the
// leader has a later record: one that was cut off may not have seen the record yet.
func (t *Timer) load(ctx context.Context, seq uint64) loaded {
	stream := t.w.Names.JobsStream(t.partition)
	m, found, err := t.w.SeqOnReplica(ctx, stream, seq)
	if err != nil || !found {
		m, found, err = t.w.NextOnLeader(ctx, stream, ">", seq)
	}
	switch {
	case err != nil:
		return loaded{seq: seq, err: err}
	case !found:
		return loaded{seq: seq, err: fmt.Errorf("%w: the leader of %s is behind, or has lost its last records", job.ErrUnavailable, stream)}
	case m.Seq != seq:
		return loaded{seq: seq, gone: true}
	}
	return t.loadedFrom(m)
}

// loadedFrom decodes a stored record; a message that is not a record counts as gone.
func (t *Timer) loadedFrom(m journal.Stored) loaded {
	k, err := t.w.Names.ParseJobSubject(t.partition, m.Subject)
	if err != nil {
		return loaded{seq: m.Seq, gone: true}
	}
	r, err := t.jobs.Decode(k, m.Seq, m.Header, m.Data)
	if err == nil && wire.PartitionOf(k, t.partitions) != t.partition {
		err = fmt.Errorf("%w: it belongs to partition %d", job.ErrNotAJob, wire.PartitionOf(k, t.partitions))
	}
	if err != nil {
		if !errors.Is(err, wire.ErrNoRecord) {
			t.leaveAlone(k, err)
		}
		return loaded{seq: m.Seq, gone: true}
	}
	return loaded{seq: m.Seq, rec: r}
}

// honest is [due.HonestDue] for the timer, which logs it.
func (t *Timer) honest(r job.Record) job.Record {
	stored := r.Due
	r, other := due.HonestDue(r, t.now(), t.staleAfter)
	if other {
		t.clocks.Do(func() {
			t.log.Warn(due.TooFarAhead, "db", r.DB, "collection", r.Collection, "job", r.ID, "status", r.Status, "due", time.UnixMilli(stored).UTC())
		})
	}
	return r
}
