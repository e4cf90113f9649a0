package audit

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/journal"
	"belfry/streams/routes"
	"belfry/streams/wire"
)

// A purge of a bucket leaves no markers, so a watcher of the bucket does not learn of it:
// purged routes would stay in force until the next start, and be gone then. They are in
// memory, so they are written back. Tokens are not: a purged token is refused, like a
// revoked one.

// compareRoutes writes back the routes that were purged.
func (a *Audit) compareRoutes(ctx context.Context) error {
	if !a.cache.IsLoaded() {
		return nil
	}
	records := map[string]record{}
	for _, r := range a.cache.All() {
		records[a.names.RouteSubject(r.RouteKey)] = record{r.Revision, routes.RouteMessage(a.names, r).Data}
	}
	return a.writeBack(ctx, a.names.RoutesStream(), records)
}

// writeBackTime bounds how long one bucket is written back.
const writeBackTime = time.Minute

// record is the value that a bucket had under a key.
type record struct {
	revision uint64 // 0 if unknown
	data     []byte
}

// writeBack writes the records that a bucket has lost without a marker. It looks for them
// only if some must be lost: there are fewer messages than records, or a record was
// before the first message.
func (a *Audit) writeBack(ctx context.Context, stream string, records map[string]record) error {
	ctx, cancel := context.WithTimeout(ctx, writeBackTime)
	defer cancel()
	is, err := a.js.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil // reported already
	}
	if err != nil {
		return err
	}
	state := is.CachedInfo().State
	present := state.Msgs
	if _, probed, err := a.w.LastOnLeader(ctx, stream, a.names.ProbeSubject(stream)); err != nil {
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
		_, found, err := a.w.LastOnLeader(ctx, stream, subject)
		if err == nil && !found {
			err = journal.ConfirmLeader(ctx, a.js, stream)
		}
		if err != nil {
			return err
		}
		if found {
			continue
		}
		_, err = a.w.Send(ctx, &nats.Msg{Subject: subject, Header: nats.Header{wire.HeaderExpectSubjectSeq: {"0"}}, Data: r.data})
		if err != nil && !errors.Is(err, journal.ErrConflict) {
			return err
		}
		if err == nil {
			written++
			a.cfg.Metrics.Mended("key")
		}
	}
	if written > 0 {
		a.cfg.Log.Error("a bucket was purged by other hands; what was known of it is written back", "stream", stream, "records", written)
	}
	return nil
}
