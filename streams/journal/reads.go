package journal

import (
	"context"
	"fmt"

	"belfry/internal/job"
	"belfry/internal/room"
)

// BesideMeta is the most that a job's message has besides its meta: the ids and the
// headers.
const BesideMeta = 16 << 10

// TakeReads takes room for answers of that many bytes, for the db that the request works
// for. done gives the room back. It is to be called once the answers have arrived, even
// if nobody waits for them any more.
func (w *Writer) TakeReads(ctx context.Context, bytes int64) (done func(), err error) {
	return w.TakeReadsFor(ctx, room.Of(ctx).Owner(), bytes)
}

// TakeReadsFor is TakeReads for an owner other than the request's db.
func (w *Writer) TakeReadsFor(ctx context.Context, owner string, bytes int64) (done func(), err error) {
	took, err := w.Reads.Take(ctx, owner, bytes)
	if err != nil {
		return nil, err
	}
	return func() { w.Reads.Give(owner, took) }, nil
}

// largeAnswer is the size, in bytes, from which an answer or a write needs a turn.
const largeAnswer = 64 << 10

// Hold takes room for one more message in what the request holds, before the message is
// read. The caller reports its actual size to shrink.
func (w *Writer) Hold(ctx context.Context) (shrink func(size int), err error) {
	t := room.Of(ctx)
	before := t.Held()
	if err := t.Add(ctx, w.Largest); err != nil {
		return nil, NoRoom(err)
	}
	return func(size int) { t.Keep(before + int64(size)) }, nil
}

// NoRoom returns the error of a request that found no room in time; nothing was changed.
func NoRoom(err error) error { return fmt.Errorf("%w: %w", job.ErrUnavailable, err) }
