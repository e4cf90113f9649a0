package audit

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/metrics"
	"belfry/streams/asset"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// Mender restores streams to what they should be, and keeps a report of what it cannot
// restore. A start uses it, too. It is safe for concurrent use.
type Mender struct {
	js      jetstream.JetStream
	names   wire.Names
	log     *slog.Logger
	metrics *metrics.Streams
	report  *report
	ring    sync.Map // the names of full streams that drop their oldest messages, already logged
}

// NewMender returns a mender with an empty report.
func NewMender(js jetstream.JetStream, n wire.Names, log *slog.Logger, m *metrics.Streams) *Mender {
	return &Mender{js: js, names: n, log: log, metrics: m, report: &report{log: log, metrics: m, harm: map[string]string{}}}
}

// Mend restores a stream of ours, which holds that many bytes, to what it should be, and
// reports what it cannot restore. changed says whether it has changed the stream.
func (m *Mender) Mend(ctx context.Context, is, want jetstream.StreamConfig, bytes uint64) (changed bool, err error) {
	if is.Sealed {
		m.report.note(want.Name, fmt.Sprintf("the stream %s%s is sealed: nothing can be written to it, and that cannot be undone", want.Name, wire.BucketNote(want.Name)))
		return false, nil
	}
	want.Discard = asset.DiscardOf(is, want)
	wrong := m.unlessFull(is, want, bytes, asset.Differences(is, want))
	unmarked := is.Metadata[wire.MetadataAsset] != want.Name
	if len(wrong) == 0 && !unmarked {
		m.report.note(want.Name, "")
		return false, nil
	}
	next := is
	next.Metadata = maps.Clone(is.Metadata)
	if next.Metadata == nil {
		next.Metadata = map[string]string{}
	}
	next.Metadata[wire.MetadataAsset] = want.Name
	for _, f := range wrong {
		f.Set(&next, &want)
	}
	next = fitting(next)
	err = m.update(ctx, is, next)
	if err == nil {
		m.mended(is, want, wrong)
		m.report.note(want.Name, "")
		return true, nil
	}
	if journal.IsPassing(err) {
		return false, err
	}
	return m.mendEach(ctx, is, want, wrong)
}

// mendEach tries the settings one by one, after all of them together were refused.
func (m *Mender) mendEach(ctx context.Context, is, want jetstream.StreamConfig, wrong []asset.Field) (changed bool, err error) {
	var mended []asset.Field
	var refused []string
	now := is
	for _, f := range wrong {
		next := now
		f.Set(&next, &want)
		next = fitting(next)
		err := m.update(ctx, now, next)
		switch {
		case err == nil:
			now = next
			mended = append(mended, f)
		case journal.IsPassing(err):
			return false, err
		default:
			refused = append(refused, fmt.Sprintf("%s is %s, not %s (%v)", f.Name, f.Show(&is), f.Show(&want), err))
		}
	}
	if len(mended) > 0 {
		m.mended(is, want, mended)
	}
	amiss := ""
	if len(refused) > 0 {
		amiss = fmt.Sprintf("of the stream %s%s %s", want.Name, wire.BucketNote(want.Name), strings.Join(refused, ", "))
	}
	m.report.note(want.Name, amiss)
	return len(mended) > 0, nil
}

// fitting keeps the window for message ids within the stream's maximum age, as the server
// requires.
func fitting(cfg jetstream.StreamConfig) jetstream.StreamConfig {
	if cfg.MaxAge > 0 {
		cfg.Duplicates = min(cfg.Duplicates, cfg.MaxAge)
	}
	return cfg
}

// mended logs and counts the settings that were restored.
func (m *Mender) mended(is, want jetstream.StreamConfig, fields []asset.Field) {
	for _, f := range fields {
		m.metrics.Mended("stream")
		m.log.Warn("a setting of a stream was not as it should be; it is again", "stream", want.Name,
			"setting", f.Name, "was", f.Show(&is), "is", f.Show(&want))
	}
}
