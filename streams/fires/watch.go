package fires

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	limits "golang.org/x/time/rate"

	"belfry/internal/metrics"
	"belfry/streams/due"
	"belfry/streams/journal"
	"belfry/streams/timer"
)

// Watch looks after FIRES. It is safe for concurrent use.
type Watch struct {
	js     jetstream.JetStream
	w      *journal.Writer
	timers []*timer.Timer // by partition
	others func() bool
	cfg    Config
	room   *roomMaker
	last   atomic.Uint64 // the last sequence that was looked at
}

// Config configures the watch.
type Config struct {
	MaxAge time.Duration // how long a fire is kept
	Every  time.Duration // how often FIRES is checked; five seconds at most

	Now     func() time.Time
	Log     *slog.Logger
	Metrics *metrics.Streams
}

// New returns a watch of FIRES for the timers, one for each partition, whose claims are
// in index. others reports whether other nodes are alive.
func New(by journal.Access, timers []*timer.Timer, index due.Index, others func() bool, cfg Config) *Watch {
	cfg.Every = min(cfg.Every, firesEvery)
	room := &roomMaker{
		js: by.JS, w: by.W, log: cfg.Log, timers: timers, index: index, every: cfg.Every, age: roomAge,
		told: limits.Sometimes{Interval: 10 * time.Minute}, done: map[string]uint64{},
	}
	return &Watch{js: by.JS, w: by.W, timers: timers, others: others, cfg: cfg, room: room}
}

// Run looks after FIRES until ctx ends: it makes the timers look for fires that were
// removed, and makes room before the stream is full.
func (w *Watch) Run(ctx context.Context) {
	var g sync.WaitGroup
	g.Go(func() { w.watch(ctx) })
	g.Go(func() { w.room.run(ctx) })
	g.Wait()
}

// Last returns the last sequence of FIRES at the last look.
func (w *Watch) Last() uint64 { return w.last.Load() }

// MakeRoomAfter sets the minimum age of acked fires that are removed to make room, 30 s
// by default. It is called before Run.
func (w *Watch) MakeRoomAfter(age time.Duration) { w.room.age = age }
