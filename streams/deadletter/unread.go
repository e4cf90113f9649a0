package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/loglimit"
	"belfry/internal/panics"
	"belfry/streams/jobs"
	"belfry/streams/journal"
	"belfry/streams/routes"
	"belfry/streams/wire"
)

// Unread looks after the inboxes of NATS routes whose subscribers have left. JetStream
// notices that the deliveries of a fire are exhausted only when somebody asks for more;
// when no subscriber does, Belfry asks. JetStream says nothing about a fire that grows
// too old, so Belfry moves those that FIRES is about to drop into DEAD. The same walk
// finds the REST routes with fires left that no worker fetches, since their jobs are
// over, and notifies the workers.
type Unread struct {
	js      jetstream.JetStream
	w       *journal.Writer
	inboxes *routes.Inboxes
	dead    *jobs.DeadLetters
	owner   func() bool
	cfg     Config

	// from is the age at which a fire is too old to wait for its subscriber.
	from time.Duration
	// every is how long to wait between two walks over the inboxes. seldom is the most to
	// wait if there are so many inboxes that a walk takes long.
	every, seldom time.Duration
	// rested has the inboxes from which a fresh fire was taken by mistake, with the time
	// when each may be touched again. Each such mistake costs the fire one of its
	// deliveries.
	rested map[string]time.Time
	rest   time.Duration
}

// NewUnread returns an Unread on one way to JetStream. The node looks after the inboxes
// while owner reports true.
func NewUnread(by journal.Access, inboxes *routes.Inboxes, dead *jobs.DeadLetters, owner func() bool, cfg Config) *Unread {
	margin := min(time.Hour, cfg.FiresMaxAge/4)
	return &Unread{
		js: by.JS, w: by.W, inboxes: inboxes, dead: dead, owner: owner, cfg: cfg,
		from: cfg.FiresMaxAge - margin, every: max(margin/60, 50*time.Millisecond), seldom: margin / 4,
		rested: map[string]time.Time{}, rest: margin / 4,
	}
}

// Run looks at the inboxes from time to time until ctx ends, while this node is the
// owner. For a moment two nodes may do so, without harm: only one of them gets each fire.
func (u *Unread) Run(ctx context.Context) {
	for pause := u.every; journal.Sleep(ctx, pause); {
		if !u.owner() {
			continue
		}
		began := time.Now()
		if err := u.look(ctx); err != nil && ctx.Err() == nil {
			loglimit.Warn(u.cfg.Log, "couldn't look for unread fires", "error", err)
		}
		pause = u.pause(time.Since(began))
	}
}

// walkShare bounds the walks to one part in walkShare of the time.
const walkShare = 1000

// pause returns how long to wait for the next walk after one that took that long.
func (u *Unread) pause(took time.Duration) time.Duration {
	return max(u.every, min(walkShare*took, u.seldom))
}

func (u *Unread) look(ctx context.Context) error {
	stream, err := u.js.Stream(ctx, u.w.Names.FiresStream())
	if err != nil {
		return err
	}
	consumers := stream.ListConsumers(ctx)
	var left []*jetstream.ConsumerInfo
	for info := range consumers.Info() {
		m := info.Config.Metadata
		switch {
		case info.NumPending == 0 && info.NumAckPending == 0:
		case job.RouteType(m[wire.MetadataType]) == job.REST:
			u.inboxes.Stirred(job.RouteKey{DB: m[wire.MetadataDB], ID: m[wire.MetadataRoute]})
		case job.RouteType(m[wire.MetadataType]) == job.NATS:
			left = append(left, info)
		}
	}
	if err := consumers.Err(); err != nil {
		return err
	}
	// An error at one inbox is no reason to skip the others.
	var failed []error
	for _, info := range left {
		if err := u.lookAt(ctx, stream, info); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", info.Name, err))
		}
	}
	return errors.Join(failed...)
}

func (u *Unread) lookAt(ctx context.Context, stream jetstream.Stream, info *jetstream.ConsumerInfo) error {
	defer panics.Recover(u.cfg.Log, "an inbox that nobody reads", u.cfg.Metrics.Panicked)
	c, err := stream.Consumer(ctx, info.Name)
	if err != nil {
		return err
	}
	if info.NumAckPending > 0 && info.NumWaiting == 0 {
		if err := nudge(ctx, c); err != nil {
			return err
		}
	}
	return u.clear(ctx, c)
}

// nudge asks the inbox for more, but for no more than one byte. So JetStream looks for
// fires to redeliver, reports exhausted ones in an advisory, and hands out nothing.
func nudge(ctx context.Context, c jetstream.Consumer) error {
	batch, err := c.FetchBytes(1, jetstream.FetchMaxWait(nudgeWait))
	if err != nil {
		return err
	}
	for m := range batch.Messages() {
		if err := m.Nak(); err != nil { // no message is that small
			return err
		}
	}
	return ctx.Err()
}

// nudgeWait is how long a nudge waits if there is nothing to deliver.
const nudgeWait = 100 * time.Millisecond

// isOld reports whether the inbox's first fire after the sequence behind is too old to
// wait.
func (u *Unread) isOld(ctx context.Context, info *jetstream.ConsumerInfo, behind uint64) (bool, error) {
	m, found, err := u.w.NextOnLeader(ctx, u.w.Names.FiresStream(), info.Config.FilterSubject, behind+1)
	return found && u.tooOld(m.Time), err
}

func (u *Unread) tooOld(published time.Time) bool { return u.cfg.Now().Sub(published) >= u.from }

// clear takes old fires from the inbox, one by one, and stops at the first fresh one.
func (u *Unread) clear(ctx context.Context, c jetstream.Consumer) error {
	for {
		take, err := u.mayTake(ctx, c)
		if err != nil || !take {
			return err
		}
		batch, err := c.FetchNoWait(1)
		if err != nil {
			return err
		}
		m := <-batch.Messages()
		if m == nil {
			return batch.Error()
		}
		fresh, err := u.bury(ctx, m)
		if fresh {
			u.rested[c.CachedInfo().Name] = u.cfg.Now().Add(u.rest)
		}
		if fresh || err != nil {
			return err
		}
	}
}

// mayTake reports whether a pull from the inbox gets an old fire. It certainly does while
// the next fire that was never delivered is old, since the delivered ones are older
// still. It probably gets one of the delivered ones when no subscriber waits; a waiting
// subscriber would get them first.
func (u *Unread) mayTake(ctx context.Context, c jetstream.Consumer) (bool, error) {
	info, err := c.Info(ctx)
	if err != nil {
		return false, err
	}
	if is, err := u.isOld(ctx, info, info.AckFloor.Stream); err != nil || !is {
		return false, err
	}
	if is, err := u.isOld(ctx, info, info.Delivered.Stream); err != nil || is {
		return is, err
	}
	return info.NumWaiting == 0 && !u.cfg.Now().Before(u.rested[info.Name]), nil
}

// bury copies an old fire into DEAD, or gives back a fresh one.
func (u *Unread) bury(ctx context.Context, m jetstream.Msg) (fresh bool, err error) {
	f, err := fireOf(m)
	if err != nil {
		u.cfg.Log.Warn("message in FIRES dropped", "subject", m.Subject(), "error", err)
		return false, m.Term()
	}
	if !u.tooOld(f.Published) {
		return true, m.Nak()
	}
	detail := fmt.Sprintf("not acked by a subscriber within %v", u.cfg.Now().Sub(f.Published).Round(time.Second))
	if err := u.dead.Bury(ctx, f, job.ReasonUnread, detail); err != nil {
		return false, err
	}
	return false, m.DoubleAck(ctx)
}

func fireOf(m jetstream.Msg) (job.Fire, error) {
	at, err := m.Metadata()
	if err != nil {
		return job.Fire{}, err
	}
	return wire.DecodeFire(m.Headers(), m.Data(), at.Sequence.Stream, at.Timestamp)
}
