package audit

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

// compareKeys restores the keys of the bucket belfry that others have changed.
func (a *Audit) compareKeys(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, journal.AnswerWait)
	defer cancel()
	if err := a.comparePartitions(ctx); err != nil {
		return err
	}
	if err := a.compareManifest(ctx); err != nil {
		return err
	}
	return a.compareRestoreMark(ctx)
}

// compareManifest keeps the manifest, if it is a key: without it the next start could not
// tell that a stream is lost.
func (a *Audit) compareManifest(ctx context.Context) error {
	if a.others.Manifest == nil {
		return nil
	}
	m, found, err := a.w.LastOnLeader(ctx, a.names.BelfryStream(), a.names.BelfrySubject(wire.ManifestKey))
	if err != nil {
		return err
	}
	if found && !wire.IsMarker(m.Header) {
		is, some, err := manifest.Decode(m.Data)
		if some && (err == nil || is.IsNewer()) { // a newer Belfry's manifest is its own business
			return nil
		}
	}
	ours, _ := a.others.Manifest.Current()
	text, err := ours.Encode()
	if err != nil {
		return err
	}
	return a.putBack(ctx, wire.ManifestKey, m.Seq, text)
}

// comparePartitions keeps the recorded number of partitions: without it, or with another
// number, the next start would look for jobs in the wrong buckets.
func (a *Audit) comparePartitions(ctx context.Context) error {
	want := strconv.Itoa(a.cfg.Partitions)
	m, found, err := a.w.LastOnLeader(ctx, a.names.BelfryStream(), a.names.BelfrySubject(wire.PartitionsKey))
	if err != nil || found && !wire.IsMarker(m.Header) && string(m.Data) == want {
		return err
	}
	return a.putBack(ctx, wire.PartitionsKey, m.Seq, []byte(want))
}

// compareRestoreMark keeps the mark of a restore, from a copy that is written with it:
// without the mark no restored job fires.
func (a *Audit) compareRestoreMark(ctx context.Context) error {
	m, found, err := a.w.LastOnLeader(ctx, a.names.BelfryStream(), a.names.BelfrySubject(wire.RestoreKey))
	if err != nil {
		return err
	}
	twin, _, err := a.w.LastOnLeader(ctx, a.names.BelfryStream(), a.names.BelfrySubject(wire.RestoreCopy))
	if err != nil {
		return err
	}
	if found && !wire.IsMarker(m.Header) {
		if _, err := backup.ParseMark(a.names, m.Data); err == nil {
			if !bytes.Equal(m.Data, twin.Data) {
				backup.CopyMark(ctx, a.w, m.Data)
			}
			a.mender.report.note(wire.RestoreKey, "")
			return nil
		}
	}
	if _, err := backup.ParseMark(a.names, twin.Data); err != nil {
		if found && !wire.IsMarker(m.Header) {
			a.mender.report.note(wire.RestoreKey, fmt.Sprintf("the key %s of bucket %s is no mark of a restore, and its copy is gone", wire.RestoreKey, a.names.BelfryBucket()))
		}
		return nil
	}
	a.mender.report.note(wire.RestoreKey, "")
	return a.putBack(ctx, wire.RestoreKey, m.Seq, twin.Data)
}

func (a *Audit) putBack(ctx context.Context, key string, over uint64, value []byte) error {
	_, err := a.w.Send(ctx, &nats.Msg{
		Subject: a.names.BelfrySubject(key), Header: nats.Header{wire.HeaderExpectSubjectSeq: {wire.FormatUint(over)}}, Data: value,
	})
	if err == nil {
		a.cfg.Metrics.Mended("key")
		a.cfg.Log.Warn("a key was deleted or overwritten by other hands; it is as it was again", "bucket", a.names.BelfryBucket(), "key", key)
	}
	return err
}
