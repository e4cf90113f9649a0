package timer

import (
	"context"

	"github.com/nats-io/nats.go"
)

// step is one write on the way of a fire: its claim, its publication, or its end. The
// answer to the write goes one of two ways.
type step struct {
	msg *nats.Msg

	// made goes on from a write that was made. It may be called where answers are read, so
	// it must not block.
	made func(seq uint64)

	// settle deals with every other answer, in a goroutine of its own: it finds out what
	// became of the write, repeats what may be repeated, and goes on until it is through,
	// or has given up, or ctx ends.
	settle func(ctx context.Context, seq uint64, err error)
}

// begin sends the write of a step. Once the work of the timer has ended, answers mean
// nothing: the next owner finds what was written, and the room of the fires ends with the
// store.
func (t *Timer) begin(s step) {
	t.w.TrySend(s.msg, func(seq uint64, err error) {
		switch {
		case t.work.Err() != nil:
		case err == nil:
			s.made(seq)
		default:
			t.start(func(ctx context.Context) { s.settle(ctx, seq, err) })
		}
	})
}
