package streams

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"belfry/streams/backup"
	"belfry/streams/journal"
	"belfry/streams/manifest"
	"belfry/streams/wire"
)

// auditKeys puts back what other hands have changed in the bucket belfry.
func (s *Store) auditKeys(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, journal.AnswerWait)
	defer cancel()
	if err := s.auditPartitions(ctx); err != nil {
		return err
	}
	if err := s.auditManifest(ctx); err != nil {
		return err
	}
	return s.auditRestoreMark(ctx)
}

// auditManifest keeps the manifest, where it is a key: without it the next start
// could not tell that a stream is lost.
func (s *Store) auditManifest(ctx context.Context) error {
	if s.cfg.Ledger != nil {
		return nil
	}
	m, found, err := s.w.LastOnLeader(ctx, s.cfg.Names.BelfryStream(), s.cfg.Names.BelfrySubject(wire.ManifestKey))
	if err != nil {
		return err
	}
	if found && !wire.IsMarker(m.Header) {
		is, some, err := manifest.Decode(m.Data)
		if some && (err == nil || is.IsNewer()) { // a newer Belfry's is its own matter
			return nil
		}
	}
	ours, _ := s.book.Current()
	text, err := ours.Encode()
	if err != nil {
		return err
	}
	return s.putBack(ctx, wire.ManifestKey, m.Seq, text)
}

// auditPartitions keeps the number of partitions written down: without it, or with
// another one, the next start would look for jobs in the wrong buckets.
func (s *Store) auditPartitions(ctx context.Context) error {
	want := strconv.Itoa(s.partitions)
	m, found, err := s.w.LastOnLeader(ctx, s.cfg.Names.BelfryStream(), s.cfg.Names.BelfrySubject(wire.PartitionsKey))
	if err != nil || found && !wire.IsMarker(m.Header) && string(m.Data) == want {
		return err
	}
	return s.putBack(ctx, wire.PartitionsKey, m.Seq, []byte(want))
}

// auditRestoreMark keeps the mark of a restore, by a copy that is written with it:
// without the mark nothing fires that the restore has written.
func (s *Store) auditRestoreMark(ctx context.Context) error {
	m, found, err := s.w.LastOnLeader(ctx, s.cfg.Names.BelfryStream(), s.cfg.Names.BelfrySubject(wire.RestoreKey))
	if err != nil {
		return err
	}
	twin, _, err := s.w.LastOnLeader(ctx, s.cfg.Names.BelfryStream(), s.cfg.Names.BelfrySubject(wire.RestoreCopy))
	if err != nil {
		return err
	}
	if found && !wire.IsMarker(m.Header) {
		if _, err := backup.ParseMark(s.cfg.Names, m.Data); err == nil {
			if !bytes.Equal(m.Data, twin.Data) {
				backup.CopyMark(ctx, s.w, m.Data)
			}
			s.report(wire.RestoreKey, "")
			return nil
		}
	}
	if _, err := backup.ParseMark(s.cfg.Names, twin.Data); err != nil {
		if found && !wire.IsMarker(m.Header) {
			s.report(wire.RestoreKey, fmt.Sprintf("the key %s of bucket %s is no mark of a restore, and its copy is gone", wire.RestoreKey, s.cfg.Names.BelfryBucket()))
		}
		return nil
	}
	s.report(wire.RestoreKey, "")
	return s.putBack(ctx, wire.RestoreKey, m.Seq, twin.Data)
}

func (s *Store) putBack(ctx context.Context, key string, over uint64, value []byte) error {
	_, err := s.w.Send(ctx, &nats.Msg{
		Subject: s.cfg.Names.BelfrySubject(key), Header: nats.Header{wire.HeaderExpectSubjectSeq: {wire.FormatUint(over)}}, Data: value,
	})
	if err == nil {
		s.cfg.Metrics.Mended("key")
		s.cfg.Log.Warn("a key was deleted or overwritten by other hands; it is as it was again", "bucket", s.cfg.Names.BelfryBucket(), "key", key)
	}
	return err
}
