package streams

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
	"belfry/internal/room"
	"belfry/streams/journal"
)

// LoadingLoop is a timer's loop as far as it loads jobs, on no server.
type LoadingLoop struct {
	Agenda
	t *timer
}

// NewLoadingLoop makes one whose large jobs take room, the only one of its node.
func NewLoadingLoop(pool *room.Pool) LoadingLoop {
	t := &timer{w: &journal.Writer{}, ended: make(chan struct{}, 1), inFlight: inFlight{pool, 1}, wanted: true, stopTake: func() {}}
	t.agenda = newAgenda(func(job.RouteKey) opening { return opening{out: unlimited} })
	t.agenda.heavies.room = t.inFlight
	pool.OnFreed((&Store{timers: []*timer{t}}).roomFreed)
	return LoadingLoop{Agenda{t.agenda}, t}
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
