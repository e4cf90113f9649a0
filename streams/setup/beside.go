package setup

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"belfry/internal/fault"
	"belfry/streams/asset"
	"belfry/streams/manifest"
	"belfry/streams/wire"
)

// CheckFolder refuses a data folder whose store has other names than n, before anything
// touches the folder. written is the manifest in its file, nil if there is none, and
// folders are the streams' folders. A manifest that cannot be read is left to
// [Setup.Run].
func CheckFolder(n wire.Names, written []byte, folders []string) error {
	m, found, err := manifest.Decode(written)
	if err != nil {
		return nil
	}
	var there []string
	switch {
	case found && wire.Names(m.Prefix) != n:
		there = []string{wire.Names(m.Prefix).Describe()}
	case !found && !slices.ContainsFunc(folders, func(name string) bool { return asset.Set{Names: n}.Has(name) }):
		there = n.StoresIn(folders)
	}
	if len(there) == 0 {
		return nil
	}
	return &Refusal{Fault: fault.OtherPrefix,
		Reason: fmt.Sprintf("it is the one of a start %s, and this is one %s", strings.Join(there, " and of one "), n.Describe()),
		Do:     "start with the prefix that it has, or give the new store a --data folder of its own"}
}

// lookBeside lists the other stores on the server. It refuses names that differ from
// another store's only in case: on some disks their streams would share folders.
func (s *Setup) lookBeside(ctx context.Context) (others []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	var names []string
	list := s.js.StreamNames(ctx)
	for name := range list.Name() {
		names = append(names, name)
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("couldn't look for other stores: %w", err)
	}
	own := s.names
	for _, name := range names {
		if other, ok := wire.StoreOf(name); ok && other != own && strings.EqualFold(string(other), string(own)) {
			return nil, fmt.Errorf("%w: there is a store of a start %s, which differs from this one's prefix in case only, and some disks do not tell. Nothing was changed. Take another --asset-prefix",
				ErrForeign, other.Describe())
		}
	}
	return own.StoresIn(names), nil
}
