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
	// writesAtOnce is how many jobs are written side by side, so that their writes
	// share the syncs, and writeBytes bounds what they take.
	writesAtOnce = 512
	writeBytes   = 16 << 20
	// patience is how long one write of a restore is tried: longer than a cluster
	// is without a leader.
	patience = 30 * time.Second
)

// Restore writes the entries that next returns, until that is [io.EOF], into a
// store that has none, and then lets the jobs fire; before that none does.
// Fires of NATS routes reach their subscribers as they are read. Where there
// is something it is [job.ErrNotEmpty]. After any other error the same backup
// can be restored again, and only that one: what is there of it stays, and
// what was changed by others meanwhile, too. Errors of next are returned as
// they are.
func (b *Backups) Restore(ctx context.Context, backup string, next func() (job.Entry, error)) error {
	select {
	case b.restoring <- struct{}{}:
		defer func() { <-b.restoring }()
	default:
		return fmt.Errorf("%w: a restore is under way", job.ErrNotEmpty)
	}
	if err := room.Of(ctx).Add(ctx, 2*writeBytes); err != nil { // the jobs, and their messages
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

// restoration is the work of one restore. But for the jobs it goes entry by
// entry.
type restoration struct {
	*Backups
	run   string
	again bool // an earlier restore has left something
	ctx   context.Context

	writing *errgroup.Group // the jobs under way; nil is none
	failed  context.Context // ends with the first of them that fails
	bytes   *semaphore.Weighted

	marked bool // that there were tokens is written down

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
	// A job that could not be written has ended the rest, and says why.
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
			// The entries that follow the jobs look at them.
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

// besideMeta is the room that a message needs beside the meta, in bytes.
const besideMeta = 64 << 10

// fits refuses what the NATS server does not take: writing it again is of no use.
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

// token writes a token, or that it was revoked, unless its key has something:
// a revocation most of all.
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

// writeTries writes the attempts that have gathered. Those that are written
// twice show once.
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

// until repeats do, which says whether it is done, while the store has trouble,
// for a bounded time.
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
