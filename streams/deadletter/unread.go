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

// Unread looks after the inboxes of NATS routes whose subscribers have left.
// JetStream notices that the deliveries of a fire are exhausted only when
// somebody asks for more: when no subscriber does, Belfry asks. And it says
// nothing of a fire that grows too old: Belfry moves those that FIRES is about to drop
// into DEAD. On the same walk it says which routes have fires left that no worker
// fetches, since their jobs are over.
type Unread struct {
	js      jetstream.JetStream
	w       *journal.Writer
	inboxes *routes.Inboxes
	dead    *jobs.DeadLetters
	owner   func() bool
	cfg     Config

	// from is the age from which a fire is too old to wait for its subscriber.
	from time.Duration
	// every is how often the inboxes are looked at, and seldom how often at
	// least, if there are so many that a walk takes long.
	every, seldom time.Duration
	// rested says of an inbox from which a fresh fire was taken by mistake
	// when it may be touched again, since each such mistake costs the fire one
	// of its deliveries.
	rested map[string]time.Time
	rest   time.Duration
}

// NewUnread returns what looks after the inboxes by an access. The node does so while
// owner says that it is the one to do it.
func NewUnread(by journal.Access, inboxes *routes.Inboxes, dead *jobs.DeadLetters, owner func() bool, cfg Config) *Unread {
	margin := min(time.Hour, cfg.FiresMaxAge/4)
	return &Unread{
		js: by.JS, w: by.W, inboxes: inboxes, dead: dead, owner: owner, cfg: cfg,
		from: cfg.FiresMaxAge - margin, every: max(margin/60, 50*time.Millisecond), seldom: margin / 4,
		rested: map[string]time.Time{}, rest: margin / 4,
	}
}

// Run looks at the inboxes from time to time, until ctx ends, while this node is the
// owner. Another one may do so too for a moment, which is no harm: a fire is handed to
// one of them.
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

// walkShare is the part of the time that walks may take, one in so much.
const walkShare = 1000

// pause is how long to wait for the next walk after one that took so long.
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
	// Trouble with one inbox is no reason to leave out the others.
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

// nudge asks for more of the inbox, but for no more than a byte: so JetStream
// looks at what is to be delivered again, tells in an advisory what is
// exhausted, and hands out nothing.
func nudge(ctx context.Context, c jetstream.Consumer) error {
	batch, err := c.FetchBytes(1, jetstream.FetchMaxWait(nudgeWait))
	if err != nil {
		return err
	}
	for m := range batch.Messages() {
		if err := m.Nak(); err != nil { // there are no such messages
			return err
		}
	}
	return ctx.Err()
}

// nudgeWait is how long a nudge waits where nothing is to be delivered.
const nudgeWait = 100 * time.Millisecond

// isOld reports whether the first fire of the inbox behind a sequence is too
// old to wait.
func (u *Unread) isOld(ctx context.Context, info *jetstream.ConsumerInfo, behind uint64) (bool, error) {
	m, found, err := u.w.NextOnLeader(ctx, u.w.Names.FiresStream(), info.Config.FilterSubject, behind+1)
	return found && u.tooOld(m.Time), err
}

func (u *Unread) tooOld(published time.Time) bool { return u.cfg.Now().Sub(published) >= u.from }

// clear takes old fires from the inbox, one by one, and stops at the first
// that is fresh.
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

// mayTake reports whether a pull from the inbox gets an old fire. It does for
// sure while the next one that was never handed out is old, since those handed
// out before are older still. It probably gets one of those when no subscriber waits, to
// whom they would go first.
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

// bury copies an old fire into DEAD, and gives back a fresh one.
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
