package backup

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/contract"
	"belfry/internal/job"
	"belfry/internal/metrics"
	"belfry/internal/room"
	"belfry/streams/jobs"
	"belfry/streams/journal"
	"belfry/streams/routes"
	"belfry/streams/wire"
)

// Backups read everything that Belfry knows, while it works, and restore it into an empty
// store. They leave out the state of running nodes: leases, breakers, rates, and the
// fires of REST routes, which the timer publishes anew. It is safe for concurrent use.
type Backups struct {
	nc *nats.Conn
	js jetstream.JetStream
	w  *journal.Writer

	jobs       *jobs.Jobs
	attempts   *jobs.Attempts
	routes     *routes.Routes
	partitions int
	cfg        Config

	restoring chan struct{} // holds a token while this node restores
}

// Config configures the backups.
type Config struct {
	Now     func() time.Time
	Log     *slog.Logger
	Metrics *metrics.Streams
}

// New returns backups on one way to JetStream. The jobs and the routes are best on the
// same one.
func New(by journal.Access, records *jobs.Jobs, attempts *jobs.Attempts, routes *routes.Routes, partitions int, cfg Config) *Backups {
	return &Backups{
		nc: by.NC, js: by.JS, w: by.W, jobs: records, attempts: attempts, routes: routes, partitions: partitions, cfg: cfg,
		restoring: make(chan struct{}, 1),
	}
}

// Each hands every entry to visit, one call at a time; an error of visit ends the walk.
// It holds little in memory. Tokens and routes are as they are when they are read. Each
// job is as it was at one moment of the walk. A job that changes during the walk may come
// more than once; then the entry with the highest revision is the newest. The order makes
// sure that nothing is missed: a job comes before its route, and a dead or published job
// before its letter or fire. A restore leaves out that letter or fire if the job waits.
func (b *Backups) Each(ctx context.Context, visit func(job.Entry) error) error {
	if err := room.Of(ctx).Add(ctx, 2*readBytes); err != nil { // for what is read ahead, and what is visited
		return journal.NoRoom(err)
	}
	// The other reads of this request need more besides it.
	done, err := b.w.TakeReadsFor(ctx, " backup", readBytes)
	if err != nil {
		return journal.NoRoom(err)
	}
	defer done()
	if err := b.eachToken(ctx, visit); err != nil {
		return err
	}
	for p := range b.partitions {
		if err := b.eachJob(ctx, p, visit); err != nil {
			return err
		}
	}
	routes, err := b.allRoutes(ctx)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if err := visit(job.Entry{Route: &r}); err != nil {
			return err
		}
	}
	if err := b.eachLetter(ctx, visit); err != nil {
		return err
	}
	if err := b.eachAttempt(ctx, visit); err != nil {
		return err
	}
	for _, r := range routes {
		if r.Type != job.NATS {
			continue
		}
		if err := b.eachFire(ctx, r.RouteKey, visit); err != nil {
			return err
		}
	}
	return nil
}

// eachToken reads the existing tokens, and the markers of deleted ones.
func (b *Backups) eachToken(ctx context.Context, visit func(job.Entry) error) error {
	all, err := b.lastOfEach(ctx, b.w.Names.TokensStream(), b.w.Names.TokensPrefix()+">")
	if err != nil {
		return err
	}
	for _, m := range all {
		id := b.w.Names.ParseTokenSubject(m.Subject)
		if wire.IsMarker(m.Header) {
			if job.IsTokenID(id) {
				err = visit(job.Entry{Revoked: id})
			}
		} else if t, bad := contract.ParseStoredToken(m.Data, id); bad != nil {
			b.leaveOut(b.w.Names.TokensBucket(), bad)
		} else {
			err = visit(job.Entry{Token: &t})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Backups) allRoutes(ctx context.Context) (all []job.Route, err error) {
	stored, err := b.lastOfEach(ctx, b.w.Names.RoutesStream(), b.w.Names.RoutesPrefix()+">")
	for _, m := range stored {
		if wire.IsMarker(m.Header) {
			continue
		}
		k, err := b.w.Names.ParseRouteSubject(m.Subject)
		if err != nil {
			b.leaveOut(b.w.Names.RoutesBucket(), err)
			continue
		}
		r, err := b.routes.Decode(k, m.Seq, m.Data)
		if err != nil {
			b.leaveOut(b.w.Names.RoutesBucket(), err)
			continue
		}
		all = append(all, r)
	}
	return all, err
}

// lastOfEach returns the last message on each subject of a bucket that is kept in memory
// anyway.
func (b *Backups) lastOfEach(ctx context.Context, stream, subject string) ([]journal.Stored, error) {
	var all []journal.Stored
	place := map[string]int{}
	err := b.readToEnd(ctx, stream, subject, 1, math.MaxUint64, func(m journal.Stored) error {
		if i, again := place[m.Subject]; again {
			all[i] = m
			return nil
		}
		place[m.Subject] = len(all)
		all = append(all, m)
		return nil
	})
	return all, err
}

// eachJob walks one partition in the order of its sequences. A record that changes gets a
// higher sequence, so a job that exists throughout the walk is met.
func (b *Backups) eachJob(ctx context.Context, partition int, visit func(job.Entry) error) error {
	return b.readToEnd(ctx, b.w.Names.JobsStream(partition), b.w.Names.AllJobs(partition), 1, math.MaxUint64, func(m journal.Stored) error {
		k, err := b.w.Names.ParseJobSubject(partition, m.Subject)
		if err != nil || wire.PartitionOf(k, b.partitions) != partition {
			return nil // the timer leaves it alone, too
		}
		r, err := b.jobs.Decode(k, m.Seq, m.Header, m.Data)
		if err != nil {
			if !errors.Is(err, wire.ErrNoRecord) {
				b.leaveOut(b.w.Names.JobsBucket(partition), err)
			}
			return nil
		}
		switch {
		case r.Status == job.Firing:
			// Its try is not over, so it will be made again.
			r = r.Finish(job.Result{Status: job.Scheduled, RetryAt: min(r.Trigger, b.cfg.Now().UnixMilli())}, b.cfg.Now())
		case r.Status == job.Dead:
			// The letters are read later, and this job's may not be written yet.
			if err := b.jobs.BuryBefore(ctx, r); err != nil {
				return err
			}
		}
		return visit(job.Entry{Job: &r})
	})
}

func (b *Backups) eachLetter(ctx context.Context, visit func(job.Entry) error) error {
	last, err := b.lastOf(ctx, b.w.Names.DeadStream())
	if err != nil {
		return err
	}
	return b.readToEnd(ctx, b.w.Names.DeadStream(), b.w.Names.DeadSubjects(), 1, last, func(m journal.Stored) error {
		if m.Subject == b.w.Names.ProbeSubject(b.w.Names.DeadStream()) {
			return nil
		}
		l, err := wire.DecodeDead(m.Header, m.Data, m.Seq, m.Time)
		if err != nil || !l.Reason.Known() {
			b.leaveOut(b.w.Names.DeadStream(), cmp.Or(err, errors.New("its reason is none")))
			return nil
		}
		return visit(job.Entry{Letter: &l})
	})
}

func (b *Backups) eachAttempt(ctx context.Context, visit func(job.Entry) error) error {
	last, err := b.lastOf(ctx, b.w.Names.AttemptsStream())
	if err != nil {
		return err
	}
	return b.readToEnd(ctx, b.w.Names.AttemptsStream(), b.w.Names.AttemptsSubjects(), 1, last, func(m journal.Stored) error {
		if m.Subject == b.w.Names.ProbeSubject(b.w.Names.AttemptsStream()) {
			return nil
		}
		k, err := b.w.Names.ParseAttemptSubject(m.Subject)
		if err != nil {
			b.leaveOut(b.w.Names.AttemptsStream(), err)
			return nil
		}
		a, err := contract.ParseAttempt(m.Data)
		if err != nil {
			b.leaveOut(b.w.Names.AttemptsStream(), err)
			return nil
		}
		return visit(job.Entry{Attempt: &job.KeptAttempt{Key: k, Attempt: a}})
	})
}

// eachFire reads the fires of a NATS route after the last one up to which its subscribers
// have acked everything. Some of the later ones may be acked; they come again, as after
// an ack that was lost.
func (b *Backups) eachFire(ctx context.Context, k job.RouteKey, visit func(job.Entry) error) error {
	c, err := b.js.Consumer(ctx, b.w.Names.FiresStream(), wire.InboxConsumer(k))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	if err != nil {
		return journal.Unavailable("couldn't look into the inbox of a route", err)
	}
	last, err := b.lastOf(ctx, b.w.Names.FiresStream())
	if err != nil {
		return err
	}
	info := c.CachedInfo()
	if info.NumPending == 0 && info.NumAckPending == 0 {
		return nil
	}
	return b.readToEnd(ctx, b.w.Names.FiresStream(), b.w.Names.FireSubject(k), info.AckFloor.Stream+1, last, func(m journal.Stored) error {
		f, err := wire.DecodeFire(m.Header, m.Data, m.Seq, m.Time)
		if err != nil {
			b.leaveOut(b.w.Names.FiresStream(), err)
			return nil
		}
		return visit(job.Entry{Fire: &f})
	})
}

// leaveOut logs an entry that Belfry did not write, or not in this form.
func (b *Backups) leaveOut(place string, err error) {
	b.cfg.Log.Warn("message left out of the backup", "place", place, "error", err)
}
