package streams

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/asset"
	"belfry/streams/wire"
)

// mendAsset brings a stream of ours, which holds so many bytes, back to what it should
// be, and reports what it cannot.
func (s *Store) mendAsset(ctx context.Context, is, want jetstream.StreamConfig, bytes uint64) error {
	if is.Sealed {
		s.report(want.Name, fmt.Sprintf("the stream %s%s is sealed: nothing can be written to it, and that cannot be undone", want.Name, wire.BucketNote(want.Name)))
		return nil
	}
	want.Discard = asset.DiscardOf(is, want)
	wrong := s.unlessFull(is, want, bytes, asset.Differences(is, want))
	unmarked := is.Metadata[wire.MetadataAsset] != want.Name
	if len(wrong) == 0 && !unmarked {
		s.report(want.Name, "")
		return nil
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
	err := s.update(ctx, is, next)
	if err == nil {
		s.mended(is, want, wrong)
		s.report(want.Name, "")
		return nil
	}
	if waiting(err) {
		return err
	}
	return s.mendEach(ctx, is, want, wrong)
}

// mendEach tries the settings one by one, once all of them were refused together.
func (s *Store) mendEach(ctx context.Context, is, want jetstream.StreamConfig, wrong []asset.Field) error {
	var mended []asset.Field
	var refused []string
	now := is
	for _, f := range wrong {
		next := now
		f.Set(&next, &want)
		next = fitting(next)
		err := s.update(ctx, now, next)
		switch {
		case err == nil:
			now = next
			mended = append(mended, f)
		case waiting(err):
			return err
		default:
			refused = append(refused, fmt.Sprintf("%s is %s, not %s (%v)", f.Name, f.Show(&is), f.Show(&want), err))
		}
	}
	if len(mended) > 0 {
		s.mended(is, want, mended)
	}
	amiss := ""
	if len(refused) > 0 {
		amiss = fmt.Sprintf("of the stream %s%s %s", want.Name, wire.BucketNote(want.Name), strings.Join(refused, ", "))
	}
	s.report(want.Name, amiss)
	return nil
}

// fitting keeps the window for message ids within the age of a stream, as the
// server wants it.
func fitting(cfg jetstream.StreamConfig) jetstream.StreamConfig {
	if cfg.MaxAge > 0 {
		cfg.Duplicates = min(cfg.Duplicates, cfg.MaxAge)
	}
	return cfg
}

// mended tells what was brought back. A maximum age that a flag says is no news:
// the flag has changed.
func (s *Store) mended(is, want jetstream.StreamConfig, fields []asset.Field) {
	s.health.Changed(want.Name)
	for _, f := range fields {
		s.cfg.Metrics.Mended("stream")
		s.cfg.Log.Warn("a setting of a stream was not as it should be; it is again", "stream", want.Name,
			"setting", f.Name, "was", f.Show(&is), "is", f.Show(&want))
	}
}
