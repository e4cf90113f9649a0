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

// Audit compares the state of JetStream with what Belfry has created, from time to time:
// others work on the server, too. It mends what was damaged, or reports what it could not
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
	grew    sync.Once // so that more replicas are logged once

	mu   sync.Mutex           // guards what follows
	made map[string]time.Time // when each stream that was ours was created
}

// Config says what is compared, and how often.
type Config struct {
	Assets      asset.Set
	Partitions  int
	Every       time.Duration // how often everything is compared
	IgnoresCase bool          // the server's disk does not distinguish upper and lower case
	Log         *slog.Logger
	Metrics     *metrics.Streams // nil counts nowhere
}

// Others are the parts of the audit that need knowledge of other packages.
type Others struct {
	// Owner reports whether this node owns the first partition. Only that node mends
	// consumers.
	Owner func() bool

	// Advisories creates or mends the consumer of advisories and returns it.
	Advisories func(context.Context) (jetstream.Consumer, error)

	// Manifest is the copy in memory of the manifest's key in the bucket belfry; nil if
	// the manifest is elsewhere.
	Manifest *manifest.Book
}

// New returns an audit that mends streams through m, on the server of a.
func New(a journal.Access, in *routes.Inboxes, m *Mender, h *journal.Health, others Others, cfg Config) *Audit {
	return &Audit{
		js: a.JS, nc: a.NC, w: a.W, inboxes: in, cache: in.Routes.Cache, mender: m, health: h, others: others,
		cfg: cfg, names: cfg.Assets.Names, made: map[string]time.Time{},
	}
}

// Amiss describes what is wrong.
func (a *Audit) Amiss() []string { return a.mender.report.amiss() }

// namesEvery is how often the names of the consumers are read, which costs little. So a
// removed consumer is noticed before the next full comparison.
const namesEvery = 10 * time.Second

// lookTime bounds one look at something, and one attempt to mend it.
const lookTime = 3 * time.Second

// Run compares again and again until ctx ends.
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
		case !a.inboxes.Floors.Loaded: // we may own the first partition by now
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

// compareAll compares everything. Each node compares and mends: mending twice does no
// harm. If an answer is missing, the next round asks again.
func (a *Audit) compareAll(ctx context.Context) {
	for _, want := range a.cfg.Assets.All(a.cfg.Partitions) {
		a.tellTrouble(ctx, "the stream "+want.Name, a.compareStream(ctx, want))
	}
	a.tellTrouble(ctx, "the keys of the bucket "+a.names.BelfryBucket(), a.compareKeys(ctx))
	a.tellTrouble(ctx, "the routes", a.compareRoutes(ctx))
	a.tellTrouble(ctx, "the consumers of routes", a.compareConsumers(ctx))
}

// tellTrouble logs that something could not be compared. The next round tries again. A
// stream that accepts no writes is in the log already.
func (a *Audit) tellTrouble(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil && !journal.IsLogged(err) {
		loglimit.Warn(a.cfg.Log, "couldn't compare an asset with what it should be", "asset", what, "error", err)
	}
}

// compareStream compares one stream, and mends it. A stream that is gone is never
// recreated: its messages are lost, and an operator has to know.
func (a *Audit) compareStream(ctx context.Context, want jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	stream, err := a.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) && want.Name == a.names.TokensStream() {
		return nil // the tokens package recreates it
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

// WasChanged reports whether a stream is gone, or differs from what it should be.
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

// madeThen reports whether the stream is the same one that we saw as ours.
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

// Looked reports whether the audit has seen that the stream is Belfry's; tests wait for
// it.
func (a *Audit) Looked(stream string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.made[stream].IsZero()
}
