package streams

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/nats-io/nats.go"
)

// keptKeys are the keys of the bucket belfry that only other hands change once
// they are written, as they were last seen.
type keptKeys struct {
	restore []byte // the mark of the last restore; nil if there is none
}

// auditKeys puts back what other hands have changed in the bucket belfry.
func (s *Store) auditKeys(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	if err := s.auditPartitions(ctx); err != nil {
		return err
	}
	return s.auditRestoreMark(ctx)
}

// auditPartitions keeps the number of partitions written down: without it, or with
// another one, the next start would look for jobs in the wrong buckets.
func (s *Store) auditPartitions(ctx context.Context) error {
	want := strconv.Itoa(s.partitions)
	m, found, err := s.jobs.w.lastOnLeader(ctx, belfryStream, belfrySubject(partitionsKey))
	if err != nil || found && !isMarker(m.Header) && string(m.Data) == want {
		return err
	}
	return s.putBack(ctx, partitionsKey, m.Seq, []byte(want))
}

// auditRestoreMark keeps the mark of a restore: without it what the restore has
// written is held.
func (s *Store) auditRestoreMark(ctx context.Context) error {
	m, found, err := s.jobs.w.lastOnLeader(ctx, belfryStream, belfrySubject(restoreKey))
	if err != nil {
		return err
	}
	var mark restoreMark
	if found && !isMarker(m.Header) && json.Unmarshal(m.Data, &mark) == nil && mark.Run != "" {
		s.kept.restore = m.Data
		return nil
	}
	if s.kept.restore == nil {
		return nil
	}
	return s.putBack(ctx, restoreKey, m.Seq, s.kept.restore)
}

func (s *Store) putBack(ctx context.Context, key string, over uint64, value []byte) error {
	_, err := s.jobs.w.send(ctx, &nats.Msg{
		Subject: belfrySubject(key), Header: nats.Header{hdrExpectSubjectSeq: {formatUint(over)}}, Data: value,
	})
	if err == nil {
		s.cfg.Metrics.Mended("key")
		s.cfg.Log.Warn("a key was deleted or overwritten by other hands; it is as it was again", "bucket", belfryBucket, "key", key)
	}
	return err
}
