package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"belfry/internal/contract"
	"belfry/internal/job"
	"belfry/internal/room"
	"belfry/streams/jobs"
	"belfry/streams/journal"
	"belfry/streams/routes"
	"belfry/streams/tokens"
	"belfry/streams/wire"
)

const (
	// writesAtOnce is how many jobs are written concurrently, so that their writes share
	// the syncs. writeBytes bounds the memory for them.
	writesAtOnce = 512
	writeBytes   = 16 << 20
	// patience is how long one write of a restore is retried: longer than a cluster is
	// without a leader.
	patience = 30 * time.Second
)

// Restore writes the entries that next returns, until next returns [io.EOF], into an
// empty store, and then lets the jobs fire; none fires before. The fires of NATS routes
// reach their subscribers as they are read. If the store is not empty, the error is
// [job.ErrNotEmpty]. After any other error only the same backup can be restored again:
// entries that are already there stay, and so do changes that others made meanwhile.
// Errors of next are returned as they are.
func (b *Backups) Restore(ctx context.Context, backup string, next func() (job.Entry, error)) error {
	select {
	case b.restoring <- struct{}{}:
		defer func() { <-b.restoring }()
	default:
		return fmt.Errorf("%w: a restore is under way", job.ErrNotEmpty)
	}
	if err := room.Of(ctx).Add(ctx, 2*writeBytes); err != nil { // for the jobs, and for their messages
		return journal.NoRoom(err)
	}
	run, again, err := b.beginRestore(ctx, backup)
	if err != nil {
		return err
	}
	b.cfg.Log.Info("restoring a backup", "backup", backup, "again", again)
	if err := newRestoration(ctx, b, run, again).all(next); err != nil {
		return err
	}
	if err := b.endRestore(ctx, run); err != nil {
		return err
	}
	b.cfg.Log.Info("the backup is restored", "backup", backup)
	return nil
}

// restoration is the work of one restore. Except for the jobs, it writes one entry after
// the other.
type restoration struct {
	*Backups
	run   string
	again bool // an earlier restore has left entries
	ctx   context.Context

	writing *errgroup.Group // the jobs under way; nil is none
	failed  context.Context // ends when the first of them fails
	bytes   *semaphore.Weighted

	marked bool // the marks that there were tokens are written

	tries []*nats.Msg // attempts to be written together

	letters, fires *series
}

func newRestoration(ctx context.Context, b *Backups, run string, again bool) *restoration {
	r := &restoration{Backups: b, run: run, again: again, ctx: ctx, bytes: semaphore.NewWeighted(writeBytes)}
	r.letters = newSeries(r, b.w.Names.DeadStream(), b.w.Names.DeadSubjects())
	r.fires = newSeries(r, b.w.Names.FiresStream(), b.w.Names.FiresSubjects())
	return r
}

func (r *restoration) all(next func() (job.Entry, error)) error {
	err := r.each(next)
	// A job that could not be written has stopped everything else, so its error comes
	// first.
	return cmp.Or(r.settleJobs(), err)
}

func (r *restoration) each(next func() (job.Entry, error)) error {
	for {
		e, err := next()
		if err == io.EOF {
			return r.writeTries()
		}
		if err != nil {
			return err
		}
		if e.Job == nil {
			// The entries after the jobs look at the jobs.
			if err := r.settleJobs(); err != nil {
				return err
			}
		}
		if err := r.one(e); err != nil {
			return err
		}
	}
}

func (r *restoration) one(e job.Entry) error {
	if err := r.fits(e); err != nil {
		return err
	}
	switch {
	case e.Job != nil:
		return r.startJob(*e.Job)
	case e.Token != nil:
		return r.token(e.Token.ID, &nats.Msg{Header: nats.Header{}, Data: contract.AppendToken(nil, *e.Token)})
	case e.Revoked != "":
		return r.token(e.Revoked, &nats.Msg{Header: nats.Header{wire.HeaderKVOperation: {"DEL"}}})
	case e.Route != nil:
		return r.route(*e.Route)
	case e.Letter != nil:
		l := *e.Letter
		m := r.w.Names.EncodeDead(l.Fire, l.Reason, l.Detail, l.Died)
		m.Header[wire.HeaderDied] = []string{wire.FormatInt(l.Died.UnixMilli())}
		return r.letters.put(l.Fire, m)
	case e.Fire != nil:
		f := *e.Fire
		return r.fires.put(f, wire.FireMessage(r.w.Names.FireSubject(f.RouteKey()), f, r.cfg.Now()))
	case e.Attempt != nil:
		r.tries = append(r.tries, &nats.Msg{Subject: r.w.Names.AttemptSubject(e.Attempt.Key), Data: contract.AppendAttempt(nil, e.Attempt.Attempt)})
		if len(r.tries) >= jobs.AttemptsGroup {
			return r.writeTries()
		}
	}
	return nil
}

// besideMeta is the room, in bytes, that a message needs besides the meta.
const besideMeta = 64 << 10

// fits refuses what the NATS server will never accept, so that it is not retried.
func (r *restoration) fits(e job.Entry) error {
	var meta []byte
	switch {
	case e.Job != nil:
		meta = e.Job.Meta
	case e.Letter != nil:
		meta = e.Letter.Meta
	case e.Fire != nil:
		meta = e.Fire.Meta
	}
	if most := r.nc.MaxPayload() - besideMeta; int64(len(meta)) > most {
		return fmt.Errorf("%w: an entry of kind %s has a meta of %d bytes, and the NATS server takes %d; with a larger max_payload, as a larger --max-meta gives it, the restore can be repeated",
			job.ErrTooLarge, e.Kind(), len(meta), most)
	}
	return nil
}

// token writes a token, or its revocation, unless the key already holds something; a
// revocation in particular stays.
func (r *restoration) token(id string, m *nats.Msg) error {
	if !r.marked {
		if err := until(r.ctx, func(ctx context.Context) (bool, error) {
			err := tokens.Mark(ctx, r.w)
			return err == nil, err
		}); err != nil {
			return err
		}
		r.marked = true
	}
	m.Subject = r.w.Names.TokenSubject(id)
	m.Header[wire.HeaderExpectSubjectSeq] = []string{"0"}
	return until(r.ctx, func(ctx context.Context) (bool, error) {
		_, err := r.w.Send(ctx, m)
		if errors.Is(err, journal.ErrConflict) {
			_, found, err := r.w.LastOnLeader(ctx, r.w.Names.TokensStream(), m.Subject)
			return found, err
		}
		return err == nil, err
	})
}

// route writes a route unless it is there.
func (r *restoration) route(route job.Route) error {
	return until(r.ctx, func(ctx context.Context) (bool, error) {
		err := r.routes.Change(ctx, route.RouteKey, func(_ job.Route, found error) (*nats.Msg, error) {
			if found == nil {
				return nil, nil
			}
			if err := r.routes.Inboxes.Ensure(ctx, route, routes.NewInbox); err != nil {
				return nil, err
			}
			return routes.RouteMessage(r.w.Names, route), nil
		})
		return err == nil, err
	})
}

// writeTries writes the collected attempts. An attempt that is written twice shows once.
func (r *restoration) writeTries() error {
	if len(r.tries) == 0 {
		return nil
	}
	err := until(r.ctx, func(ctx context.Context) (bool, error) {
		err := r.attempts.WriteOnce(ctx, r.tries)
		if err != nil && !errors.Is(err, job.ErrUnavailable) {
			err = fmt.Errorf("%w: couldn't write attempts: %v", job.ErrUnavailable, err)
		}
		return err == nil, err
	})
	r.tries = r.tries[:0]
	return err
}

// until repeats do, which says whether it is done, while the store has trouble, for a
// bounded time.
func until(ctx context.Context, do func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pause := journal.NewBackOff(10*time.Millisecond, time.Second)
	for {
		done, err := do(ctx)
		switch {
		case done:
			return nil
		case errors.Is(err, job.ErrLimit):
			return err
		case err != nil && !errors.Is(err, job.ErrUnavailable) && !errors.Is(err, job.ErrUnknownOutcome) &&
			!errors.Is(err, journal.ErrConflict) && !errors.Is(err, journal.ErrNoAnswer):
			return err
		case !journal.Sleep(ctx, pause.NextBackOff()):
			return fmt.Errorf("%w: the store did not answer in time; the restore can be repeated: %v", job.ErrUnknownOutcome, err)
		}
	}
}
