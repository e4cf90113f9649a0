package timer

import (
	"context"

	"github.com/nats-io/nats.go"
)

// step is one write in the life of a fire: its claim, its publication, or its end. The
// answer to the write goes to made or to settle.
type step struct {
	msg *nats.Msg

	// made continues after a successful write. It may be called where answers are read,
	// so it must not block.
	made func(seq uint64)

	// settle handles every other answer, in a goroutine of its own. It resolves the
	// outcome of the write and repeats what may be repeated, until it is done, has given
	// up, or ctx ends.
	settle func(ctx context.Context, seq uint64, err error)
}

// begin sends the write of a step. Once the timer's work has ended, answers are ignored:
// the next owner finds what was written, and the room of the fires ends with the store.
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
