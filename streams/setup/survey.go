package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/fault"
	"belfry/streams/asset"
	"belfry/streams/manifest"
	"belfry/streams/wire"
)

// Disk is what an embedded server's folder showed before the server started, and what the
// server said about it.
type Disk interface {
	// Folders names the streams that had a folder.
	Folders() []string
	// Last returns the highest sequence in the files of a stream, if that is known.
	Last(stream string) (uint64, bool)
	// Reason returns what the server said about a stream, "" for nothing.
	Reason(stream string) string
	// Damage returns the damage found since the last call.
	Damage() []manifest.Damage
	// SetAside moves the files of a stream away, and returns where to.
	SetAside(stream string) (string, error)
}

// survey says which of Belfry's streams exist, before anything is created.
type survey struct {
	found   map[string]*jetstream.StreamInfo
	offline map[string]string // why the server does not serve some streams that it has
	folders []string          // of Belfry's streams

	partitions int // as far as can be told; 0 is unknown
	fixed      int // the same, from the key alone
}

// look finds out what exists. It only reads.
//
// It looks the streams up in the reverse of the order in which they are created. So while
// another process creates them, every stream that is found was preceded by those created
// before it.
func (s *Setup) look(ctx context.Context) (survey, error) {
	v := survey{found: map[string]*jetstream.StreamInfo{}, offline: map[string]string{}}
	if s.cfg.Disk != nil {
		v.folders = slices.DeleteFunc(s.cfg.Disk.Folders(), func(name string) bool { return !s.cfg.Assets.Has(name) })
	}
	m, _ := s.book.Current()
	var err error
	if v.partitions, err = s.fixedPartitions(ctx); err != nil {
		return v, err
	}
	if v.fixed = v.partitions; v.partitions == 0 {
		v.partitions = m.Partitions
	}
	for p := MaxPartitions - 1; v.partitions == 0 && p >= 0; p-- {
		if err := s.lookUp(ctx, &v, s.names.JobsStream(p)); err != nil {
			return v, err
		}
		if is := v.found[s.names.JobsStream(p)]; is != nil && asset.IsBelfrys(is.Config) {
			v.partitions = p + 1
		}
	}
	names := s.cfg.Assets.StreamNames(max(v.partitions, 1))
	for _, more := range [][]string{m.Made, v.folders} {
		for _, name := range more {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, name := range slices.Backward(names) {
		if err := s.lookUp(ctx, &v, name); err != nil {
			return v, err
		}
	}
	return v, nil
}

// These are the error codes of a stream that the server has and does not serve.
const (
	errCodeOffline       = 10118
	errCodeOfflineReason = 10194
)

// offline returns the server's reason if an error says that it has a stream but does not
// serve it, and "" otherwise. In a cluster that state passes by itself.
func offline(err error) string {
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == errCodeOffline || api.ErrorCode == errCodeOfflineReason) {
		return api.Description
	}
	return ""
}

func (s *Setup) lookUp(ctx context.Context, v *survey, name string) error {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	stream, err := s.js.Stream(ctx, name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
	case s.cfg.Disk != nil && offline(err) != "":
		v.offline[name] = offline(err)
	case err != nil:
		return fmt.Errorf("couldn't look up stream %s: %w", name, err)
	default:
		v.found[name] = stream.CachedInfo()
	}
	return nil
}

// fixedPartitions reads the number of partitions; 0 is none.
func (s *Setup) fixedPartitions(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	kv, err := s.js.KeyValue(ctx, s.names.BelfryBucket())
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return 0, nil
	}
	if s.cfg.Disk != nil && offline(err) != "" {
		return 0, nil // reported when its stream is looked up
	}
	if err != nil {
		return 0, err
	}
	e, err := kv.Get(ctx, wire.PartitionsKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("couldn't read the number of partitions: %w", err)
	}
	return parsePartitions(s.names, e.Value())
}

// compare refuses a store that has lost something. Otherwise it returns the streams to
// recreate, which --recreate-missing allows, and whether this is the first start.
func (s *Setup) compare(ctx context.Context) (recreate []string, first bool, err error) {
	if err := s.book.Read(ctx); err != nil {
		if errors.Is(err, manifest.ErrBad) {
			return nil, false, &Refusal{Fault: fault.ManifestBad, Reason: strings.TrimPrefix(err.Error(), fault.ManifestBad+": "),
				Do: fmt.Sprintf("look for a bad disk, then remove it (%s): what is there is compared and written down anew", s.manifestPlace())}
		}
		return nil, false, err
	}
	v, err := s.look(ctx)
	if err != nil {
		return nil, false, err
	}
	// Another process may have written the manifest since, so judge by that version.
	before, _ := s.book.Current()
	if err := s.book.Read(ctx); err != nil {
		return nil, false, err
	}
	m, found := s.book.Current()
	if len(m.Made) != len(before.Made) {
		if v, err = s.look(ctx); err != nil {
			return nil, false, err
		}
	}
	if v.partitions > 0 {
		s.cfg.Partitions = v.partitions
	}
	if len(v.found) == 0 && len(v.folders) == 0 && len(v.offline) == 0 && len(m.Made) == 0 {
		if s.beside, err = s.lookBeside(ctx); err != nil {
			return nil, false, err
		}
		if s.cfg.ExistingData {
			place := s.cfg.Place
			if len(s.beside) > 0 {
				place += ", where there is a store of a start " + strings.Join(s.beside, " and of one ")
			}
			return nil, false, &Refusal{Fault: fault.NothingThere, Reason: place,
				Do: "leave --existing-data out for a first start, or see that the data is where Belfry looks for it"}
		}
		return nil, true, nil
	}
	if found && m.Partitions > 0 && v.fixed > 0 && v.fixed != m.Partitions {
		return nil, false, &Refusal{Fault: fault.PartitionsDiffer,
			Reason: fmt.Sprintf("the key %s of bucket %s says %d, the manifest %d", wire.PartitionsKey, s.names.BelfryBucket(), v.fixed, m.Partitions),
			Do:     fmt.Sprintf("count the buckets %s<n>; if there are %d, write that under the key, else remove the manifest (%s)", s.names.JobsBucketPrefix(), m.Partitions, s.manifestPlace())}
	}
	lost := s.judge(v, m, found)
	if lost == nil {
		return nil, false, nil
	}
	if !s.cfg.RecreateMissing {
		return nil, false, lost
	}
	return lost.Streams, false, s.recreating(v, lost)
}

const recreateHint = "or start once with --recreate-missing, which begins with empty ones"

// judge finds what is missing. It is pure.
func (s *Setup) judge(v survey, m manifest.Manifest, found bool) *Refusal {
	var bad, reasons []string
	for _, name := range v.folders {
		if v.found[name] == nil {
			bad = append(bad, name)
			reasons = append(reasons, s.reason(v, name))
		}
	}
	for name, reason := range v.offline {
		if !slices.Contains(bad, name) {
			bad, reasons = append(bad, name), append(reasons, reason)
		}
	}
	if len(bad) > 0 {
		return &Refusal{Fault: fault.StreamUnrecovered, Streams: bad, Reason: strings.Join(reasons, "; "),
			Do: "remove the cause and start again, " + recreateHint + " and keeps the files in its folder set-aside"}
	}
	for _, name := range m.Made {
		if v.found[name] == nil {
			bad = append(bad, name)
		}
	}
	if len(bad) > 0 {
		return &Refusal{Fault: fault.StreamMissing, Streams: bad, Do: "bring back what was there, " + recreateHint}
	}
	if found {
		return nil
	}
	return s.judgeUnwritten(v)
}

func (s *Setup) reason(v survey, name string) string {
	if reason := v.offline[name]; reason != "" {
		return reason
	}
	if reason := s.cfg.Disk.Reason(name); reason != "" {
		return reason
	}
	return "the server gave no reason for " + name
}

// judgeUnwritten judges streams that no manifest records, as a Belfry without manifests
// leaves them. Either all of them exist, or a first start was cut short: then the later
// ones are missing, and the existing ones are empty.
func (s *Setup) judgeUnwritten(v survey) *Refusal {
	var ours, missing []string
	used := false
	for _, name := range s.cfg.Assets.StreamNames(max(v.partitions, 1)) {
		info := v.found[name]
		switch {
		case info == nil:
			missing = append(missing, name)
			continue
		case !asset.IsBelfrys(info.Config):
			continue
		case len(missing) > 0:
			used = true // streams are created in this order
		}
		ours = append(ours, name)
		used = used || name != s.names.BelfryStream() && info.State.LastSeq > 0
	}
	switch {
	case len(missing) == 0 || len(ours) == 0 || !used:
		return nil
	case v.found[s.names.BelfryStream()] == nil && s.cfg.Disk == nil:
		return &Refusal{Fault: fault.ManifestKeyGone, Streams: missing, Reason: "there are " + strings.Join(ours, ", "), Do: "bring back what was there, " + recreateHint}
	}
	return &Refusal{Fault: fault.StreamMissing, Streams: missing, Reason: "there are " + strings.Join(ours, ", "), Do: "bring back what was there, " + recreateHint}
}

// recreating makes room for the streams that are recreated.
func (s *Setup) recreating(v survey, lost *Refusal) error {
	for _, name := range lost.Streams {
		kept := "nothing was left"
		if v.offline[name] != "" {
			return &Refusal{Fault: lost.Fault, Streams: []string{name}, Reason: v.offline[name], Do: "remove the cause and start again; --recreate-missing is of no use here, since the server has the stream"}
		}
		if slices.Contains(v.folders, name) {
			to, err := s.cfg.Disk.SetAside(name)
			if err != nil {
				return fmt.Errorf("stream %s: couldn't move its files away: %w", name, err)
			}
			kept = to
		}
		s.cfg.Log.Warn(fault.Recreating, "stream", name, "reason", lost.Fault+" "+lost.Reason, "kept", kept)
	}
	return nil
}
