package streams

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/loglimit"
	"belfry/streams/asset"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// audit compares what is in JetStream with what Belfry has made, at the start and
// once in a while: other hands work on the server, too. What was harmed it mends,
// or it says what it could not mend, in the log, in a metric and in /readyz. It is
// safe for concurrent use.
type audit struct {
	mu   sync.Mutex           // guards what follows
	harm map[string]string    // what is amiss with each asset
	made map[string]time.Time // when each stream that was ours was made
	grew sync.Once            // tells that there are replicas
	ring sync.Map             // the names of full streams that drop their oldest, as told
}

// report takes in what is amiss with an asset now; empty is nothing. It says what
// is new.
func (s *Store) report(asset, amiss string) {
	a := &s.audit
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.harm[asset]
	switch {
	case amiss == was:
		return
	case amiss == "":
		delete(a.harm, asset)
		s.cfg.Log.Info("an asset is as it should be again", "asset", asset)
	default:
		if a.harm == nil {
			a.harm = map[string]string{}
		}
		a.harm[asset] = amiss
		s.cfg.Log.Error("an asset was harmed by other hands and cannot be mended", "asset", asset, "amiss", amiss)
	}
	s.cfg.Metrics.Harmed(len(a.harm))
}

// amiss says in words what is amiss.
func (a *audit) amiss() (all []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, asset := range slices.Sorted(maps.Keys(a.harm)) {
		all = append(all, a.harm[asset])
	}
	const most = 3
	if more := len(all) - most; more > 0 {
		all = append(all[:most], fmt.Sprintf("and %d more", more))
	}
	return all
}

// assets names those with which something is amiss.
func (a *audit) assets() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.harm))
}

// namesEvery is how often the names of the consumers are read, which costs little:
// one that was removed is missed sooner than the next time that all is compared.
const namesEvery = 10 * time.Second

// runAudit compares again and again, until ctx ends.
func (s *Store) runAudit(ctx context.Context) {
	tick := min(time.Second, s.cfg.AuditEvery)
	var last, named time.Time
	for {
		switch {
		case !s.nc.IsConnected():
		case time.Since(last) >= s.cfg.AuditEvery:
			last = time.Now()
			named = last
			s.auditOnce(ctx)
		case !s.inboxes.Floors.Loaded: // we may own the first partition since
			s.tellTrouble(ctx, "the consumers of routes", s.auditConsumers(ctx))
		case time.Since(named) >= namesEvery:
			named = time.Now()
			s.tellTrouble(ctx, "the consumers of routes", s.auditNames(ctx))
		}
		if !journal.Sleep(ctx, tick) {
			return
		}
	}
}

// auditOnce compares all there is. Each node does so, and mends: to mend twice
// does no harm. What cannot be asked now is asked the next time.
func (s *Store) auditOnce(ctx context.Context) {
	for _, want := range s.assets.All(s.partitions) {
		s.tellTrouble(ctx, "the stream "+want.Name, s.auditAsset(ctx, want))
	}
	s.tellTrouble(ctx, "the keys of the bucket "+s.cfg.Names.BelfryBucket(), s.auditKeys(ctx))
	s.tellTrouble(ctx, "the routes", s.auditRoutes(ctx))
	s.tellTrouble(ctx, "the consumers of routes", s.auditConsumers(ctx))
}

// tellTrouble says that something could not be looked at. It is the next time. That
// a stream takes no writes the log has been told.
func (s *Store) tellTrouble(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil && !journal.IsLogged(err) {
		loglimit.Warn(s.cfg.Log, "couldn't compare an asset with what it should be", "asset", what, "error", err)
	}
}

// auditAsset compares one stream, and mends it. One that is gone is never made
// again: what had been in it is lost, and a person has to know.
func (s *Store) auditAsset(ctx context.Context, want jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, setupTry)
	defer cancel()
	stream, err := s.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) && want.Name == s.cfg.Names.TokensStream() {
		return nil // see [Tokens.look], which makes it anew
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s.report(want.Name, fmt.Sprintf("the stream %s%s is gone", want.Name, wire.BucketNote(want.Name)))
		return nil
	}
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	if !asset.IsBelfrys(info.Config) && !s.madeThen(want.Name, info.Created) {
		s.report(want.Name, fmt.Sprintf("the stream %s%s was replaced by one that is not Belfry's", want.Name, wire.BucketNote(want.Name)))
		return nil
	}
	s.sawMade(want.Name, info.Created)
	if info.Config.Replicas > 1 && !s.w.Replicated {
		s.audit.grew.Do(func() {
			s.cfg.Log.Warn("streams have more than one replica, which they had not when Belfry started; start it again, so that it trusts no single server", "stream", want.Name)
		})
	}
	return s.mendAsset(ctx, info.Config, want, info.State.Bytes)
}

// wasChanged reports whether a stream is gone, or is not as it should be.
func (s *Store) wasChanged(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	stream, err := s.js.Stream(ctx, name)
	if err != nil {
		return errors.Is(err, jetstream.ErrStreamNotFound)
	}
	return slices.ContainsFunc(s.assets.All(s.partitions), func(want jetstream.StreamConfig) bool {
		return want.Name == name && len(asset.Differences(stream.CachedInfo().Config, want)) > 0
	})
}

// madeThen reports whether the stream was ours and is the same one still.
func (s *Store) madeThen(name string, created time.Time) bool {
	s.audit.mu.Lock()
	defer s.audit.mu.Unlock()
	return s.audit.made[name].Equal(created)
}

func (s *Store) sawMade(name string, created time.Time) {
	s.audit.mu.Lock()
	defer s.audit.mu.Unlock()
	if s.audit.made == nil {
		s.audit.made = map[string]time.Time{}
	}
	s.audit.made[name] = created
}

// unlessFull leaves out of what is to be mended that a stream drops its oldest, while it
// is nearly full, and says so once: from then on it would refuse everything. An
// operator may have had it like that for long. FIRES gets room by itself; see
// [roomMaker].
func (s *Store) unlessFull(is, want jetstream.StreamConfig, bytes uint64, wrong []asset.Field) []asset.Field {
	if is.Discard != jetstream.DiscardOld || !wire.IsFires(want.Name) && !wire.IsDead(want.Name) || !asset.NearlyFull(is.MaxBytes, bytes, asset.RoomHigh) {
		return wrong
	}
	if _, told := s.audit.ring.LoadOrStore(want.Name, true); !told {
		s.cfg.Log.Warn("a stream that is nearly full drops its oldest messages, also those that nobody has read; it refuses new ones in place of that once it has room",
			"stream", want.Name, "bytes", bytes, "max_bytes", is.MaxBytes, "do", "raise max_bytes of the stream")
	}
	return slices.DeleteFunc(wrong, func(f asset.Field) bool { return f.Name == "discard" })
}
