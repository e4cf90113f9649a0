package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"belfry/internal/job"
	"belfry/internal/panics"
	"belfry/internal/room"
	"belfry/streams/journal"
)

const (
	// runTime bounds one request after its letters were found; the next request handles
	// the rest.
	runTime = 2 * time.Second
	// lettersBeside is how many letters are handled concurrently. Each is held in memory
	// with its meta.
	lettersBeside = 16
)

// Redrive arms the job of one letter again, due now, with the same key, meta and route, a
// new fire id and no attempts counted. Then it removes the letter.
//
// The job is one compare-and-set on its key, and comes first. A crash between the two
// leaves a letter whose job shows that it was redriven; repeating the request then only
// removes the letter. A letter that may not be redriven stays, and the answer has it with
// the reason.
func (s *Letters) Redrive(ctx context.Context, db string, number uint64) (job.LetterRun, error) {
	return s.one(ctx, db, number, s.redrive)
}

// Discard removes one letter.
func (s *Letters) Discard(ctx context.Context, db string, number uint64) (job.LetterRun, error) {
	return s.one(ctx, db, number, s.discard)
}

// RedriveEach is [Letters.Redrive] for a page of the letters that the query selects.
// After an error some may be redriven; repeating the request does the rest.
func (s *Letters) RedriveEach(ctx context.Context, q job.LetterQuery) (job.LetterRun, error) {
	return s.each(ctx, q, "dead letters redriven", s.redrive)
}

// DiscardEach removes a page of the letters that the query selects.
func (s *Letters) DiscardEach(ctx context.Context, q job.LetterQuery) (job.LetterRun, error) {
	return s.each(ctx, q, "dead letters discarded", s.discard)
}

// action handles one letter; it returns why it was skipped.
type action func(context.Context, jetstream.Stream, job.Letter) (job.Skip, error)

func (s *Letters) one(ctx context.Context, db string, number uint64, do action) (job.LetterRun, error) {
	var run job.LetterRun
	l, err := s.Get(ctx, db, number)
	if err != nil {
		return run, err
	}
	stream, err := s.js.Stream(ctx, s.w.Names.DeadStream())
	if err != nil {
		return run, journal.Unavailable("couldn't look at the dead letters", err)
	}
	why, err := do(ctx, stream, l)
	if err != nil {
		return run, err
	}
	note(&run, l, why)
	return run, nil
}

func (s *Letters) each(ctx context.Context, q job.LetterQuery, message string, do action) (job.LetterRun, error) {
	var run job.LetterRun
	stream, err := s.begin(ctx, &q)
	if err != nil {
		return run, err
	}
	if err := room.Of(ctx).Add(ctx, int64(q.Limit)*letterBytes); err != nil {
		return run, journal.NoRoom(err)
	}
	page, err := s.list(ctx, stream, q)
	if err != nil {
		return run, err
	}
	run.Cursor = page.Cursor
	var mu sync.Mutex // guards run
	g, working := errgroup.WithContext(ctx)
	g.SetLimit(lettersBeside)
	begun := time.Now()
	for _, listed := range page.Letters {
		if time.Since(begun) > runTime {
			run.Cursor = job.LetterCursor{Next: listed.Number, Last: q.Cursor.Last}
			break
		}
		g.Go(func() (err error) {
			defer panics.Return(s.cfg.Log, "a dead letter", s.cfg.Metrics.Panicked, &err)
			held := room.Of(ctx).Beside()
			defer held.Close()
			working := room.With(working, held)
			// A listed letter may be gone by now; the leader knows.
			l, err := s.Get(working, q.DB, listed.Number)
			if errors.Is(err, job.ErrLetterNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			why, err := do(working, stream, l)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			note(&run, l, why)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return run, fmt.Errorf("%w: %d letters were done, then: %v", job.ErrUnknownOutcome, run.Done, err)
	}
	if len(page.Letters) > 0 {
		s.cfg.Log.Info(message, "db", q.DB, "done", run.Done, "skipped", len(run.Skipped), "more", run.Cursor.Next > 0)
	}
	slices.SortFunc(run.Skipped, func(a, b job.SkippedLetter) int { return cmp.Compare(a.Number, b.Number) })
	return run, nil
}

// note counts the result for a letter.
func note(run *job.LetterRun, l job.Letter, why job.Skip) {
	if why == "" || why == job.SkipDone {
		run.Done++
		return
	}
	run.Skipped = append(run.Skipped, job.SkippedLetter{Key: l.Key, Number: l.Number, Why: why})
}

func (s *Letters) redrive(ctx context.Context, stream jetstream.Stream, l job.Letter) (job.Skip, error) {
	why, err := s.rearm(ctx, l)
	if err != nil || why != "" && why != job.SkipDone {
		return why, err
	}
	return why, s.remove(ctx, stream, l.Number)
}

func (s *Letters) discard(ctx context.Context, stream jetstream.Stream, l job.Letter) (job.Skip, error) {
	return "", s.remove(ctx, stream, l.Number)
}

// rearm writes the job of the letter, unless the letter must be skipped.
func (s *Letters) rearm(ctx context.Context, l job.Letter) (job.Skip, error) {
	switch _, err := s.routes.Cached(ctx, l.RouteKey()); {
	case errors.Is(err, job.ErrRouteNotFound):
		return job.SkipNoRoute, nil
	case err != nil:
		return "", err
	}
	held := room.Of(ctx).Held()
	for {
		room.Of(ctx).Keep(held)
		r, found, err := s.jobs.Read(ctx, l.Key)
		switch {
		case errors.Is(err, job.ErrNotAJob):
			return job.SkipNotAJob, nil
		case err != nil:
			return "", err
		}
		next, why := l.Redrive(r, found, s.cfg.Now())
		if why != "" {
			return why, nil
		}
		// It has moved: most likely it was armed in between, which ends the loop.
		if _, err = s.jobs.Write(ctx, next, r.Revision); !errors.Is(err, job.ErrMoved) {
			return "", err
		}
	}
}

// remove deletes a letter. It is no error if it is gone already.
func (s *Letters) remove(ctx context.Context, stream jetstream.Stream, number uint64) error {
	err := stream.DeleteMsg(ctx, number)
	if err == nil {
		return nil
	}
	if _, found, lost := s.w.SeqOnLeader(ctx, s.w.Names.DeadStream(), number); lost == nil && !found {
		return nil
	}
	return fmt.Errorf("%w: couldn't remove a dead letter: %v", job.ErrUnknownOutcome, err)
}
