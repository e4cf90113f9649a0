package setup

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// nats-server keeps each consumer in a folder of its name. On a disk that does not
// distinguish upper and lower case two consumers could share a folder, and after a
// restart only one of them is left. So the node with the embedded server records this
// property of its disk for all nodes, and no inbox is created in the folder of another.

// ignoresCase is the value of wire.DiskKey; any other value, or none, means a usual disk.
const ignoresCase = "ignores case"

// fixDisk records the property of the disk, if this node knows it, and reads it.
func (s *Setup) fixDisk(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	kv, err := s.js.KeyValue(ctx, s.names.BelfryBucket())
	if err != nil {
		return err
	}
	e, err := kv.Get(ctx, wire.DiskKey)
	switch {
	case err == nil:
		s.ignoresCase = string(e.Value()) == ignoresCase
	case !errors.Is(err, jetstream.ErrKeyNotFound):
		return fmt.Errorf("couldn't read what the disk is like: %w", err)
	}
	if !s.cfg.OnlyNode || s.ignoresCase == s.cfg.DiskIgnoresCase {
		return nil
	}
	if s.ignoresCase = s.cfg.DiskIgnoresCase; s.ignoresCase {
		_, err = kv.PutString(ctx, wire.DiskKey, ignoresCase)
	} else {
		err = kv.Purge(ctx, wire.DiskKey)
	}
	if err != nil {
		return fmt.Errorf("couldn't write down what the disk is like: %w", err)
	}
	return nil
}

// TellCollisions logs which routes of an earlier version, or of another disk, share a
// folder.
func (s *Setup) TellCollisions(ctx context.Context) error {
	if !s.ignoresCase {
		return nil
	}
	kv, err := s.js.KeyValue(ctx, s.names.RoutesBucket())
	if err != nil {
		return journal.Unavailable("couldn't look at the routes", err)
	}
	keys, err := kv.ListKeys(ctx)
	if err != nil {
		return journal.Unavailable("couldn't look at the routes", err)
	}
	first := map[string]job.RouteKey{}
	for key := range keys.Keys() {
		k, err := wire.ParseRouteToken(key)
		if err != nil {
			continue // not a route's
		}
		folder := strings.ToLower(wire.InboxConsumer(k))
		if other, taken := first[folder]; taken {
			s.cfg.Log.Error("two routes differ in case only, and this disk does not tell: one of them has no inbox",
				"db", k.DB, "route", k.ID, "other_db", other.DB, "other_route", other.ID)
			continue
		}
		first[folder] = k
	}
	return nil
}
