package streams

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/journal"
	"belfry/streams/routes"
	"belfry/streams/wire"
)

// A purge of a bucket leaves no marks, so whoever follows the bucket does not hear
// of it: routes would be in force until the next start, and gone then. They are in
// memory, and so they are written back. Tokens are not: a token that a purge took is
// refused, as one that was revoked; see [tokens.Tokens].

// auditRoutes writes back the routes that were purged.
func (s *Store) auditRoutes(ctx context.Context) error {
	if !s.routes.Cache.IsLoaded() {
		return nil
	}
	records := map[string]record{}
	for _, r := range s.routes.Cache.All() {
		records[s.cfg.Names.RouteSubject(r.RouteKey)] = record{r.Revision, routes.RouteMessage(s.cfg.Names, r).Data}
	}
	return s.writeBack(ctx, s.cfg.Names.RoutesStream(), records)
}

// record is what a bucket had under a key.
type record struct {
	revision uint64 // 0 if it is not known
	data     []byte
}

// writeBack writes the records that a bucket has lost without a mark. It looks for
// them only where some must be lost: there are fewer messages than records, or one
// stood before the first message.
func (s *Store) writeBack(ctx context.Context, stream string, records map[string]record) error {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	is, err := s.js.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil // the audit says so already
	}
	if err != nil {
		return err
	}
	state := is.CachedInfo().State
	present := state.Msgs
	if _, probed, err := s.w.LastOnLeader(ctx, stream, s.cfg.Names.ProbeSubject(stream)); err != nil {
		return err
	} else if probed {
		present--
	}
	all := present < uint64(len(records))
	written := 0
	for subject, r := range records {
		if !all && (r.revision == 0 || r.revision >= state.FirstSeq) {
			continue
		}
		_, found, err := s.w.LastOnLeader(ctx, stream, subject)
		if err == nil && !found {
			err = journal.ConfirmLeader(ctx, s.js, stream)
		}
		if err != nil {
			return err
		}
		if found {
			continue
		}
		_, err = s.w.Send(ctx, &nats.Msg{Subject: subject, Header: nats.Header{wire.HeaderExpectSubjectSeq: {"0"}}, Data: r.data})
		if err != nil && !errors.Is(err, journal.ErrConflict) {
			return err
		}
		if err == nil {
			written++
			s.cfg.Metrics.Mended("key")
		}
	}
	if written > 0 {
		s.cfg.Log.Error("a bucket was purged by other hands; what was known of it is written back", "stream", stream, "records", written)
	}
	return nil
}
