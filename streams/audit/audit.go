package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/loglimit"
	"belfry/internal/metrics"
	"belfry/streams/asset"
	"belfry/streams/journal"
	"belfry/streams/manifest"
	"belfry/streams/routes"
	"belfry/streams/wire"
)

// Audit compares what is in JetStream with what Belfry has made, once in a while: other
// hands work on the server, too. It mends what was harmed, or says what it could not
// mend, in the log, in a metric and in /readyz. It is safe for concurrent use.
type Audit struct {
	js      jetstream.JetStream
	nc      *nats.Conn
	w       *journal.Writer
	inboxes *routes.Inboxes
	cache   *routes.Cache
	mender  *Mender
	health  *journal.Health
	others  Others
	cfg     Config
	names   wire.Names
	grew    sync.Once // tells that there are replicas

	mu   sync.Mutex           // guards what follows
	made map[string]time.Time // when each stream that was ours was made
}

// Config says what is compared, and how often.
type Config struct {
	Assets      asset.Set
	Partitions  int
	Every       time.Duration // how often all is compared
	IgnoresCase bool          // the disk of the server does not tell upper from lower case
	Log         *slog.Logger
	Metrics     *metrics.Streams // nil counts nowhere
}

// Others do a part of the audit that takes what only they know.
type Others struct {
	// Owner reports whether this node owns the first partition: it alone mends consumers.
	Owner func() bool

	// Advisories returns the consumer of advisories, which it has made or mended.
	Advisories func(context.Context) (jetstream.Consumer, error)

	// Manifest is in memory what a key of the bucket belfry has; nil if that key is not
	// where the manifest is.
	Manifest *manifest.Book
}

// New returns an audit that mends streams by m, and works on the server that a goes to.
func New(a journal.Access, in *routes.Inboxes, m *Mender, h *journal.Health, others Others, cfg Config) *Audit {
	return &Audit{
		js: a.JS, nc: a.NC, w: a.W, inboxes: in, cache: in.Routes.Cache, mender: m, health: h, others: others,
		cfg: cfg, names: cfg.Assets.Names, made: map[string]time.Time{},
	}
}

// Amiss says in words what is amiss.
func (a *Audit) Amiss() []string { return a.mender.report.amiss() }

// namesEvery is how often the names of the consumers are read, which costs little:
// one that was removed is missed sooner than the next time that all is compared.
const namesEvery = 10 * time.Second

// lookTime bounds one look at something, and one attempt to mend it.
const lookTime = 3 * time.Second

// Run compares again and again, until ctx ends.
func (a *Audit) Run(ctx context.Context) {
	tick := min(time.Second, a.cfg.Every)
	var last, named time.Time
	for {
		switch {
		case !a.nc.IsConnected():
		case time.Since(last) >= a.cfg.Every:
			last = time.Now()
			named = last
			a.compareAll(ctx)
		case !a.inboxes.Floors.Loaded: // we may own the first partition since
			a.tellTrouble(ctx, "the consumers of routes", a.compareConsumers(ctx))
		case time.Since(named) >= namesEvery:
			named = time.Now()
			a.tellTrouble(ctx, "the consumers of routes", a.compareNames(ctx))
		}
		if !journal.Sleep(ctx, tick) {
			return
		}
	}
}

// compareAll compares all there is. Each node does so, and mends: to mend twice
// does no harm. A question that cannot be asked now is asked the next time.
func (a *Audit) compareAll(ctx context.Context) {
	for _, want := range a.cfg.Assets.All(a.cfg.Partitions) {
		a.tellTrouble(ctx, "the stream "+want.Name, a.compareStream(ctx, want))
	}
	a.tellTrouble(ctx, "the keys of the bucket "+a.names.BelfryBucket(), a.compareKeys(ctx))
	a.tellTrouble(ctx, "the routes", a.compareRoutes(ctx))
	a.tellTrouble(ctx, "the consumers of routes", a.compareConsumers(ctx))
}

// tellTrouble says that something could not be looked at. It is looked at the next
// time. The log has been told already of a stream that takes no writes.
func (a *Audit) tellTrouble(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil && !journal.IsLogged(err) {
		loglimit.Warn(a.cfg.Log, "couldn't compare an asset with what it should be", "asset", what, "error", err)
	}
}

// compareStream compares one stream, and mends it. One that is gone is never made
// again: its messages are lost, and a person has to know.
func (a *Audit) compareStream(ctx context.Context, want jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	stream, err := a.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) && want.Name == a.names.TokensStream() {
		return nil // whoever keeps the tokens makes it anew
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		a.mender.report.note(want.Name, fmt.Sprintf("the stream %s%s is gone", want.Name, wire.BucketNote(want.Name)))
		return nil
	}
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	if !asset.IsBelfrys(info.Config) && !a.madeThen(want.Name, info.Created) {
		a.mender.report.note(want.Name, fmt.Sprintf("the stream %s%s was replaced by one that is not Belfry's", want.Name, wire.BucketNote(want.Name)))
		return nil
	}
	a.sawMade(want.Name, info.Created)
	if info.Config.Replicas > 1 && !a.w.Replicated {
		a.grew.Do(func() {
			a.cfg.Log.Warn("streams have more than one replica, which they had not when Belfry started; start it again, so that it trusts no single server", "stream", want.Name)
		})
	}
	changed, err := a.mender.Mend(ctx, info.Config, want, info.State.Bytes)
	if changed {
		a.health.Changed(want.Name)
	}
	return err
}

// WasChanged reports whether a stream is gone, or is not as it should be.
func (a *Audit) WasChanged(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	stream, err := a.js.Stream(ctx, name)
	if err != nil {
		return errors.Is(err, jetstream.ErrStreamNotFound)
	}
	return slices.ContainsFunc(a.cfg.Assets.All(a.cfg.Partitions), func(want jetstream.StreamConfig) bool {
		return want.Name == name && len(asset.Differences(stream.CachedInfo().Config, want)) > 0
	})
}

// madeThen reports whether the stream was ours and is the same one still.
func (a *Audit) madeThen(name string, created time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.made[name].Equal(created)
}

func (a *Audit) sawMade(name string, created time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.made[name] = created
}

// Looked reports whether it has seen that the stream is Belfry's; tests wait for it.
func (a *Audit) Looked(stream string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.made[stream].IsZero()
}
