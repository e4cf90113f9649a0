package timer

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
	"belfry/internal/metrics"
	"belfry/internal/room"
	"belfry/streams/due"
	"belfry/streams/journal"
)

// LoadingLoop is the part of a timer's loop that loads jobs, without a server.
type LoadingLoop struct {
	queue *due.Queue
	t     *Timer
}

// NewLoadingLoop returns a loop whose large jobs take room; it is the only one of its
// node.
func NewLoadingLoop(pool *room.Pool) LoadingLoop {
	t := &Timer{w: &journal.Writer{}, ended: make(chan struct{}, 1), inFlight: due.NewInFlight(pool, 1), wanted: true, stopTake: func() {}}
	t.queue = due.NewQueue(func(job.RouteKey) due.GateState { return due.GateState{Out: due.Unlimited} }, func(job.RouteKey) {})
	t.queue.SetLimit(t.inFlight)
	pool.OnFreed(t.RoomFreed)
	return LoadingLoop{t.queue, t}
}

// LoadSome makes the loop load the records it wants, and calls do as each load begins. It
// returns how many loads there were.
func (l LoadingLoop) LoadSome(now time.Time, do func()) (n int) {
	l.t.now = func() time.Time { return now }
	l.t.w.Ask = func(*nats.Msg, func(*nats.Msg, error)) { n++; do() }
	l.t.loadSome()
	return n
}

// GiveUp orders the loop to release its partition.
func (l LoadingLoop) GiveUp(ctx context.Context) {
	l.t.release(make(chan struct{}))
	l.t.step(ctx)
}

// Woken reports whether the loop was woken since the last call.
func (l LoadingLoop) Woken() bool {
	select {
	case <-l.t.ended:
		return true
	default:
		return false
	}
}

func (l LoadingLoop) Observe(r job.Record)                       { l.queue.Observe(r) }
func (l LoadingLoop) Took(r job.Record, now time.Time)           { l.queue.SetLoaded(r, now) }
func (l LoadingLoop) ToFire(now time.Time, max int) []job.Record { return l.queue.ToFire(now, max) }
func (l LoadingLoop) Ready() int                                 { return l.queue.Ready() }
func (l LoadingLoop) Hungry() bool                               { return l.queue.Hungry() }

// ObserveLarge is Observe for a record with a value of that many bytes.
func (l LoadingLoop) ObserveLarge(r job.Record, bytes int) {
	l.queue.Observe(r)
	l.queue.Weigh(r, bytes)
}

func (l LoadingLoop) Counts(now time.Time) metrics.Counts { return l.queue.Counts(now) }
func (l LoadingLoop) Gone(seq uint64)                     { l.queue.Remove(seq) }
func (l LoadingLoop) ToLoad(now time.Time) []uint64       { return l.queue.ToLoad(now) }
func (l LoadingLoop) Entries() int                        { return l.queue.Entries() }
