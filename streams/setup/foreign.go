package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/asset"
	"belfry/streams/wire"
)

// ErrForeign means that the server has streams with Belfry's names or subjects that are
// not Belfry's. Nothing was changed. An operator has to decide.
var ErrForeign = errors.New("streams that are not Belfry's are in the way")

// refuseForeign looks for foreign streams that have a name or a subject of ours. It
// changes nothing, and runs before everything that does.
func (s *Setup) refuseForeign(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 4*tryTime) // it asks for each of them
	defer cancel()
	var inTheWay []string
	foreign := func(name string) (bool, error) {
		stream, err := s.js.Stream(ctx, name)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound), s.cfg.Disk != nil && offline(err) != "": // compare reports it
			return false, nil
		}
		return err == nil && !asset.IsBelfrys(stream.CachedInfo().Config), err
	}
	is, err := foreign(s.names.BelfryStream())
	if err != nil {
		return fmt.Errorf("couldn't look for streams of others: %w", err)
	}
	partitions := s.cfg.Partitions
	if !is {
		if n, err := s.fixedPartitions(ctx); err == nil && n > 0 {
			partitions = n
		}
	}
	assets := s.cfg.Assets.All(partitions)
	names := map[string]bool{}
	for _, want := range assets {
		names[want.Name] = true
	}
	for _, want := range assets {
		is, err := foreign(want.Name)
		if err != nil {
			return fmt.Errorf("couldn't look for streams of others: %w", err)
		}
		if is {
			inTheWay = append(inTheWay, fmt.Sprintf("the stream %s%s", want.Name, wire.BucketNote(want.Name)))
		}
		for _, subject := range want.Subjects {
			list := s.js.StreamNames(ctx, jetstream.WithStreamListSubject(subject))
			for name := range list.Name() {
				if !names[name] {
					inTheWay = append(inTheWay, fmt.Sprintf("the stream %s, which takes subjects of %s", name, subject))
				}
			}
			if err := list.Err(); err != nil {
				return fmt.Errorf("couldn't look for streams of others: %w", err)
			}
		}
	}
	if len(inTheWay) == 0 {
		return nil
	}
	slices.Sort(inTheWay)
	return fmt.Errorf("%w: %s. Nothing was changed. Remove them, or give Belfry a NATS account of its own. "+
		"If Belfry made one of them and its description was changed, say so: nats stream edit <stream> --metadata %s=<stream>",
		ErrForeign, strings.Join(slices.Compact(inTheWay), "; "), wire.MetadataAsset)
}
