package journal

import (
	"context"
	"fmt"

	"belfry/internal/job"
	"belfry/internal/room"
)

// BesideMeta is what a message of a job has at most beside its meta: the ids, and
// the headers.
const BesideMeta = 16 << 10

// TakeReads makes room for answers of so many bytes, for the db that the request
// works for. done gives it back; it is for once the answers have come, whether
// somebody still waits for them or not.
func (w *Writer) TakeReads(ctx context.Context, bytes int64) (done func(), err error) {
	return w.TakeReadsFor(ctx, room.Of(ctx).Owner(), bytes)
}

// TakeReadsFor is TakeReads for another owner than the request's db.
func (w *Writer) TakeReadsFor(ctx context.Context, owner string, bytes int64) (done func(), err error) {
	took, err := w.Reads.Take(ctx, owner, bytes)
	if err != nil {
		return nil, err
	}
	return func() { w.Reads.Give(owner, took) }, nil
}

// largeAnswer is how long an answer or a write is that a turn is needed for.
const largeAnswer = 64 << 10

// Hold makes room for a message in what the request holds, before it is read.
// shrink tells how large it is.
func (w *Writer) Hold(ctx context.Context) (shrink func(size int), err error) {
	t := room.Of(ctx)
	before := t.Held()
	if err := t.Add(ctx, w.Largest); err != nil {
		return nil, NoRoom(err)
	}
	return func(size int) { t.Keep(before + int64(size)) }, nil
}

// NoRoom is the error of a request that found no room in time; nothing was changed.
func NoRoom(err error) error { return fmt.Errorf("%w: %w", job.ErrUnavailable, err) }
