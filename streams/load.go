package streams

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"belfry/internal/job"
)

// loaded is the answer to a load: the record, or that it is gone, or that it
// could not be read now.
type loaded struct {
	seq  uint64
	rec  job.Record
	gone bool
	err  error
}

// load reads the record at seq. That it is gone only the leader is believed.
func (t *timer) load(ctx context.Context, seq uint64) loaded {
	stream := jobsStream(t.partition)
	m, found, err := t.w.seqOnReplica(ctx, stream, seq)
	if err != nil || !found {
		m, found, err = t.w.seqOnLeader(ctx, stream, seq)
	}
	if err != nil {
		return loaded{seq: seq, err: err}
	}
	if !found {
		return loaded{seq: seq, gone: true}
	}
	k, err := parseJobKey(strings.TrimPrefix(m.Subject, jobsPrefix(t.partition)))
	if err != nil {
		return loaded{seq: seq, gone: true}
	}
	r, err := decodeRecord(k, m.Seq, m.Header, m.Data)
	if err == nil && partitionOf(k, t.jobs.partitions) != t.partition {
		err = fmt.Errorf("%w: it belongs to partition %d", job.ErrNotAJob, partitionOf(k, t.jobs.partitions))
	}
	if err != nil {
		if !errors.Is(err, errNoRecord) {
			t.leaveAlone(k, err)
		}
		return loaded{seq: seq, gone: true}
	}
	return loaded{seq: seq, rec: r}
}
