package streams

import (
	"cmp"
	"context"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// Backups read all that Belfry knows, while it works, and bring it back into an
// empty one. What belongs to the running is left out: leases, breakers, rates,
// and the fires of REST routes, which the timer makes anew. It is safe for
// concurrent use.
type Backups struct {
	s *Store
	w *writer

	restoring chan struct{} // holds a token while this node restores
}

func newBackups(s *Store) *Backups {
	return &Backups{s: s, w: s.jobs.w, restoring: make(chan struct{}, 1)}
}

// catchUps is how often a walk over the jobs looks for what has come while it
// went on, until it accepts that there is always something.
const catchUps = 100

// Each hands all that there is to visit, which is not called twice at once and
// ends the walk with an error. It holds little of it in memory. Tokens and routes
// are as they are when they are read. Each job is as it was at one moment of the
// walk, and one that changes in it may come more than once; then the entry with
// the highest revision is the newest. The order is one in which nothing is
// missed: a job before its route, a dead or published one before its letter or
// its fire, which are left out in restoring if the job waits.
func (b *Backups) Each(ctx context.Context, visit func(job.Entry) error) error {
	if err := b.eachToken(ctx, visit); err != nil {
		return err
	}
	for p := range b.s.partitions {
		if err := b.eachJob(ctx, p, visit); err != nil {
			return err
		}
	}
	routes, err := b.routes(ctx)
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

// eachToken reads the tokens that there are, and the marks of those that there
// were.
func (b *Backups) eachToken(ctx context.Context, visit func(job.Entry) error) error {
	all, err := b.lastOfEach(ctx, tokensStream, tokenSubject(">"))
	if err != nil {
		return err
	}
	for _, m := range all {
		id := m.Subject[len(tokenSubject("")):]
		if isMarker(m.Header) {
			if job.IsTokenID(id) {
				err = visit(job.Entry{Revoked: id})
			}
		} else if t, bad := contract.ParseStoredToken(m.Data, id); bad != nil {
			b.leaveOut(tokensBucket, bad)
		} else {
			err = visit(job.Entry{Token: &t})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Backups) routes(ctx context.Context) (all []job.Route, err error) {
	const prefix = "$KV." + routesBucket + "."
	stored, err := b.lastOfEach(ctx, routesStream, prefix+">")
	for _, m := range stored {
		if isMarker(m.Header) {
			continue
		}
		k, err := parseRouteToken(m.Subject[len(prefix):])
		if err != nil {
			b.leaveOut(routesBucket, err)
			continue
		}
		r, err := b.s.routes.decode(k, m.Seq, m.Data)
		if err != nil {
			b.leaveOut(routesBucket, err)
			continue
		}
		all = append(all, r)
	}
	return all, err
}

// lastOfEach returns the last message on each subject of a bucket that is held
// in memory anyway.
func (b *Backups) lastOfEach(ctx context.Context, stream, subject string) ([]stored, error) {
	var all []stored
	place := map[string]int{}
	err := b.readToEnd(ctx, stream, subject, 1, math.MaxUint64, func(m stored) error {
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

// eachJob walks one partition, in the order of its sequences. A record that
// changes gets a higher one, so what is there all the time is met.
func (b *Backups) eachJob(ctx context.Context, partition int, visit func(job.Entry) error) error {
	return b.readToEnd(ctx, jobsStream(partition), jobsPrefix(partition)+"*.*.*", 1, math.MaxUint64, func(m stored) error {
		k, err := parseJobKey(strings.TrimPrefix(m.Subject, jobsPrefix(partition)))
		if err != nil || partitionOf(k, b.s.partitions) != partition {
			return nil // as the timer leaves it alone
		}
		r, err := decodeRecord(k, m.Seq, m.Header, m.Data)
		if err != nil {
			return nil
		}
		switch {
		case r.Status == job.Firing:
			// Its try is not over: it will be made again.
			r = r.Finish(job.Result{Status: job.Scheduled, RetryAt: min(r.Trigger, b.s.cfg.Now().UnixMilli())}, b.s.cfg.Now())
		case r.Status == job.Dead:
			// The letters are read later, and this one may not be written yet.
			if err := b.s.jobs.buryBefore(ctx, r); err != nil {
				return err
			}
		}
		return visit(job.Entry{Job: &r})
	})
}

func (b *Backups) eachLetter(ctx context.Context, visit func(job.Entry) error) error {
	last, err := b.lastOf(ctx, DeadStream)
	if err != nil {
		return err
	}
	return b.readToEnd(ctx, DeadStream, deadSubjects, 1, last, func(m stored) error {
		l, err := decodeDead(m.Header, m.Data, m.Seq, m.Time)
		if err != nil || !l.Reason.Known() {
			b.leaveOut(DeadStream, cmp.Or(err, errors.New("its reason is none")))
			return nil
		}
		return visit(job.Entry{Letter: &l})
	})
}

func (b *Backups) eachAttempt(ctx context.Context, visit func(job.Entry) error) error {
	last, err := b.lastOf(ctx, attemptsStream)
	if err != nil {
		return err
	}
	return b.readToEnd(ctx, attemptsStream, attemptsSubjects, 1, last, func(m stored) error {
		k, err := parseAttemptSubject(m.Subject)
		if err != nil {
			b.leaveOut(attemptsStream, err)
			return nil
		}
		a, err := contract.ParseAttempt(m.Data)
		if err != nil {
			b.leaveOut(attemptsStream, err)
			return nil
		}
		return visit(job.Entry{Attempt: &job.KeptAttempt{Key: k, Attempt: a}})
	})
}

// eachFire reads the fires of a NATS route behind the first one that its
// subscribers have not acked. Of those behind it some may be acked; they come
// again, as an ack that was lost has them come again.
func (b *Backups) eachFire(ctx context.Context, k job.RouteKey, visit func(job.Entry) error) error {
	c, err := b.s.js.Consumer(ctx, FiresStream, inboxConsumer(k))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	if err != nil {
		return unavailable("couldn't look into the inbox of a route", err)
	}
	last, err := b.lastOf(ctx, FiresStream)
	if err != nil {
		return err
	}
	info := c.CachedInfo()
	if info.NumPending == 0 && info.NumAckPending == 0 {
		return nil
	}
	return b.readToEnd(ctx, FiresStream, fireSubject(k), info.AckFloor.Stream+1, last, func(m stored) error {
		f, err := decodeFire(m.Header, m.Data, m.Seq, m.Time)
		if err != nil {
			b.leaveOut(FiresStream, err)
			return nil
		}
		return visit(job.Entry{Fire: &f})
	})
}

// leaveOut tells of something that Belfry has not written, or not so.
func (b *Backups) leaveOut(place string, err error) {
	b.s.cfg.Log.Warn("message left out of the backup", "place", place, "error", err)
}

// lastOf returns the last sequence of a stream, as its leader has it.
func (b *Backups) lastOf(ctx context.Context, stream string) (uint64, error) {
	s, err := b.s.js.Stream(ctx, stream)
	if err != nil {
		return 0, unavailable("couldn't look at the stream "+stream, err)
	}
	return s.CachedInfo().State.LastSeq, nil
}

// readToEnd hands the messages on a subject to visit, in the order of their
// sequences, from one up to another, or until the leader has no more. Where more
// comes all the time it goes after that for so many times: what is missed then is
// what has changed in between each time.
func (b *Backups) readToEnd(ctx context.Context, stream, subject string, from, until uint64, visit func(stored) error) error {
	next := max(from, 1)
	pause := newBackOff(50*time.Millisecond, time.Second)
	for rounds, failures := 0, 0; next <= until; {
		before := next
		failed, err := b.readSome(ctx, stream, subject, &next, until, visit)
		if err != nil {
			return err
		}
		if next > before {
			failures = 0
			pause.Reset()
		}
		if failed == nil {
			var found bool
			_, found, failed = b.w.nextOnLeader(ctx, stream, subject, next)
			if rounds++; failed == nil && (!found || rounds > catchUps) {
				return nil
			}
		}
		if failed != nil {
			const most = 10
			if failures++; failures > most || !sleep(ctx, pause.NextBackOff()) {
				return unavailable("couldn't read "+stream, failed)
			}
		}
	}
	return nil
}

// readSome reads until it is told that there is no more, and moves next on. A
// failure is one of reading, err that of visit.
func (b *Backups) readSome(ctx context.Context, stream, subject string, next *uint64, until uint64, visit func(stored) error) (failed, err error) {
	c, err := b.s.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects:   []string{subject},
		DeliverPolicy:    jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:      *next,
		MaxResetAttempts: 1,
	})
	if err != nil {
		return err, nil
	}
	defer func() { _ = b.s.js.DeleteConsumer(ctx, stream, c.CachedInfo().Name) }() // else it ends by itself
	if c.CachedInfo().NumPending == 0 {
		return nil, nil
	}
	messages, err := c.Messages(jetstream.PullHeartbeat(tailHeartbeat), jetstream.PullMaxMessagesWithBytesLimit(readAtOnce, readBytes))
	if err != nil {
		return err, nil
	}
	defer messages.Stop()
	for {
		// The server counts what is left; should that be wrong, the wait ends.
		m, err := messages.Next(jetstream.NextMaxWait(readWait))
		if err != nil {
			if ctx.Err() == nil && errors.Is(err, nats.ErrTimeout) {
				return nil, nil
			}
			return err, nil
		}
		at, err := m.Metadata()
		if err != nil {
			return err, nil
		}
		if at.Sequence.Stream > until {
			*next = at.Sequence.Stream
			return nil, nil
		}
		if err := visit(stored{Subject: m.Subject(), Seq: at.Sequence.Stream, Header: m.Headers(), Data: m.Data(), Time: at.Timestamp}); err != nil {
			return nil, err
		}
		*next = at.Sequence.Stream + 1
		if at.NumPending == 0 {
			return nil, nil
		}
	}
}

const (
	// readBytes bounds what of a walk is read ahead; it is more than one
	// message can have.
	readBytes = 16 << 20
	// readWait is how long the next message may take, of which the server has
	// said that it is there.
	readWait = time.Second
)
