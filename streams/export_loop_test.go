package streams

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
	"belfry/internal/metrics"
	"belfry/internal/room"
	"belfry/streams/journal"
)

// LoadingLoop is a timer's loop as far as it loads jobs, on no server.
type LoadingLoop struct {
	agenda *agenda
	t      *timer
}

// NewLoadingLoop makes one whose large jobs take room, the only one of its node.
func NewLoadingLoop(pool *room.Pool) LoadingLoop {
	t := &timer{w: &journal.Writer{}, ended: make(chan struct{}, 1), inFlight: inFlight{pool, 1}, wanted: true, stopTake: func() {}}
	t.agenda = newAgenda(func(job.RouteKey) opening { return opening{out: unlimited} }, func(job.RouteKey) {})
	t.agenda.bound(t.inFlight)
	pool.OnFreed((&Store{timers: []*timer{t}}).roomFreed)
	return LoadingLoop{t.agenda, t}
}

// LoadSome has the loop load what it wants, and calls do as each load begins. It returns
// how many there are.
func (l LoadingLoop) LoadSome(now time.Time, do func()) (n int) {
	l.t.now = func() time.Time { return now }
	l.t.w.Ask = func(*nats.Msg, func(*nats.Msg, error)) { n++; do() }
	l.t.loadSome()
	return n
}

// GiveUp orders the loop to release its partition.
func (l LoadingLoop) GiveUp(ctx context.Context) {
	l.t.obey(ctx, order{done: make(chan struct{})})
	l.t.step(ctx)
}

// Woken reports whether the loop was told to look again since the last time.
func (l LoadingLoop) Woken() bool {
	select {
	case <-l.t.ended:
		return true
	default:
		return false
	}
}

func (l LoadingLoop) Observe(r job.Record)                       { l.agenda.observe(r) }
func (l LoadingLoop) Took(r job.Record, now time.Time)           { l.agenda.took(r, now) }
func (l LoadingLoop) ToFire(now time.Time, max int) []job.Record { return l.agenda.toFire(now, max) }
func (l LoadingLoop) Ready() int                                 { return l.agenda.loadedRecords() }
func (l LoadingLoop) Hungry() bool                               { return l.agenda.hungry() }

// ObserveLarge is Observe for a record with a value of so many bytes.
func (l LoadingLoop) ObserveLarge(r job.Record, bytes int) {
	l.agenda.observe(r)
	l.agenda.weigh(r, bytes)
}

func (l LoadingLoop) Counts(now time.Time) metrics.Counts { return l.agenda.counts(now) }
func (l LoadingLoop) Gone(seq uint64)                     { l.agenda.gone(seq) }
func (l LoadingLoop) ToLoad(now time.Time) []uint64       { return l.agenda.toLoad(now) }
func (l LoadingLoop) Entries() int                        { return l.agenda.entries() }
