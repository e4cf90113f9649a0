package streams

import (
	"context"
	"fmt"
	"slices"
	"time"

	"belfry/internal/job"
	"belfry/internal/room"
)

// besideMeta is what a message of a job has at most beside its meta: the ids, and
// the headers.
const besideMeta = 16 << 10

// takeReads makes room for answers of so many bytes, for the db that the request
// works for. done gives it back; it is for once the answers have come, whether
// somebody still waits for them or not.
func (w *writer) takeReads(ctx context.Context, bytes int64) (done func(), err error) {
	return w.takeReadsFor(ctx, room.Of(ctx).Owner(), bytes)
}

func (w *writer) takeReadsFor(ctx context.Context, owner string, bytes int64) (done func(), err error) {
	took, err := w.reads.Take(ctx, owner, bytes)
	if err != nil {
		return nil, err
	}
	return func() { w.reads.Give(owner, took) }, nil
}

// largeAnswer is how long an answer or a write is that a turn is needed for.
const largeAnswer = 64 << 10

// While others wait, a turn is followed by a rest of turnRest times as long, which
// goes on for as long as something fires or is due within turnGap, up to mostRest in
// all. A processor is then free most of the time for what fires, whoever has
// hundreds of requests under way, and what a turn locks in the server is free as
// well; a request that is alone does not rest.
const (
	turnRest = 3
	mostRest = 250 * time.Millisecond
	turnGap  = 5 * time.Millisecond
	// turnLook is how often a rest looks for a gap.
	turnLook = 2 * time.Millisecond
)

// turn waits for a turn of the db that the request works for. over ends it.
func (w *writer) turn(ctx context.Context) (over func(), err error) {
	owner := room.Of(ctx).Owner()
	took, err := w.turns.Take(ctx, owner, 1)
	if err != nil {
		return nil, unavailable("others read too much", err)
	}
	began := time.Now()
	give := func() { w.turns.Give(owner, took) }
	return func() {
		if w.turns.Waiting() == 0 {
			give()
			return
		}
		w.rest(min(turnRest*time.Since(began), mostRest), give)
	}, nil
}

// rest gives back a turn after a rest of at least so long.
func (w *writer) rest(least time.Duration, give func()) {
	end := time.Now().Add(mostRest - turnLook)
	var look func()
	look = func() {
		if w.firesSoon == nil || !w.firesSoon() || time.Now().After(end) {
			give()
			return
		}
		time.AfterFunc(turnLook, look)
	}
	time.AfterFunc(least, look)
}

// firesSoon reports whether a job of this node fires now, or is due within turnGap.
func (s *Store) firesSoon() bool {
	before := s.cfg.Now().Add(turnGap).UnixMilli()
	return slices.ContainsFunc(s.timers, func(t *timer) bool {
		next := t.nextDue.Load()
		return t.firing.Load() > 0 || next > 0 && next <= before
	})
}

// hold makes room for a message in what the request holds, before it is read.
// shrink tells how large it is.
func (w *writer) hold(ctx context.Context) (shrink func(size int), err error) {
	t := room.Of(ctx)
	before := t.Held()
	if err := t.Add(ctx, w.largest); err != nil {
		return nil, full(err)
	}
	return func(size int) { t.Keep(before + int64(size)) }, nil
}

// full is the error of a request that found no room in time; nothing was changed.
func full(err error) error { return fmt.Errorf("%w: %w", job.ErrUnavailable, err) }
