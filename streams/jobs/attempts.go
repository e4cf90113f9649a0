package jobs

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"belfry/internal/contract"
	"belfry/internal/job"
	"belfry/internal/loglimit"
	"belfry/internal/metrics"
	"belfry/internal/room"
	"belfry/streams/journal"
)

// Attempts keeps the results of the tries of jobs, for humans. It is no part of the
// promises: the results are written lazily, in groups, so that no delivery waits for
// them. A crash loses the results of about the last 100 ms. While JetStream does not
// answer, a bounded number of them wait. It is safe for concurrent use.
type Attempts struct {
	js    jetstream.JetStream
	w     *journal.Writer
	reads journal.Access // for requests
	batch bool           // a group is worth an atomic batch
	log   *slog.Logger

	metrics *metrics.Streams
	health  *journal.Health

	queue   chan *nats.Msg
	dropped atomic.Uint64
}

const (
	// AttemptsPerJob is how many tries of one job are kept; the latest ones are.
	AttemptsPerJob = 100
	// attemptBytes is the most that a try takes, with an excerpt that is all escapes.
	attemptBytes = 16 << 10
	// attemptsQueued is how many tries wait to be written, of a few KiB each.
	attemptsQueued = 4096
	// AttemptsGroup and attemptsGather bound a group, in number and in time.
	AttemptsGroup  = 500
	attemptsGather = 50 * time.Millisecond
	// attemptsFlush bounds the last write at the end.
	attemptsFlush = time.Second
)

// AttemptsExtra is how much longer the tries of a job are kept than its final state: the
// job may have been tried for hours before.
const AttemptsExtra = 24 * time.Hour

// NewAttempts returns attempts that are written through by and read through reads. With
// batch, each group is written as an atomic batch.
func NewAttempts(by, reads journal.Access, batch bool, health *journal.Health, cfg Config) *Attempts {
	return &Attempts{js: by.JS, w: by.W, reads: reads, batch: batch, health: health, log: cfg.Log, metrics: cfg.Metrics, queue: make(chan *nats.Msg, attemptsQueued)}
}

// Keep queues one try of a fire to be written soon. It never blocks: when too many wait,
// the try is dropped and counted.
func (s *Attempts) Keep(f job.Fire, a job.Attempt) {
	m := &nats.Msg{Subject: s.w.Names.AttemptSubject(f.Key), Data: contract.AppendAttempt(nil, a)}
	select {
	case s.queue <- m:
	default:
		s.drop(1)
	}
}

func (s *Attempts) drop(tries int) {
	s.dropped.Add(uint64(tries))
	s.metrics.AttemptsDropped(tries)
}

// Dropped counts the tries that were not kept.
func (s *Attempts) Dropped() uint64 { return s.dropped.Load() }

// Run writes the queued tries until ctx ends, and then the rest, for a bounded time. The
// error is always nil.
func (s *Attempts) Run(ctx context.Context) error {
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(attemptsFlush, cancel) })
	defer stop()
	told := uint64(0)
	for {
		group := s.gather(ctx)
		if len(group) == 0 {
			return nil
		}
		s.write(last, group)
		if n := s.Dropped(); n > told {
			s.log.Warn("attempts were dropped", "attempts", n-told)
			told = n
		}
	}
}

// gather waits for something to write, and then a moment for more. It returns nothing
// once ctx has ended and the queue is empty.
func (s *Attempts) gather(ctx context.Context) (group []*nats.Msg) {
	select {
	case m := <-s.queue:
		group = append(group, m)
	case <-ctx.Done():
	}
	more := time.NewTimer(attemptsGather)
	defer more.Stop()
	for len(group) < AttemptsGroup {
		select {
		case m := <-s.queue:
			group = append(group, m)
			continue
		default:
		}
		if ctx.Err() != nil {
			return group
		}
		select {
		case m := <-s.queue:
			group = append(group, m)
		case <-more.C:
			return group
		case <-ctx.Done():
		}
	}
	return group
}

// write tries to write a group until it succeeds or ctx ends. A group that is written
// twice shows once.
func (s *Attempts) write(ctx context.Context, group []*nats.Msg) {
	pause := journal.NewBackOff(50*time.Millisecond, time.Second)
	for told := false; ; told = true {
		err := s.WriteOnce(ctx, group)
		if err == nil {
			return
		}
		if !told {
			loglimit.Warn(s.log, "couldn't write attempts yet", "attempts", len(group), "error", err)
		}
		if !journal.Sleep(ctx, pause.NextBackOff()) {
			s.drop(len(group))
			return
		}
	}
}

// WriteOnce tries once to write a group, for a bounded time. After an error part of the
// group may be written.
func (s *Attempts) WriteOnce(ctx context.Context, group []*nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, journal.AnswerWait)
	defer cancel()
	if s.batch && len(group) > 1 {
		// Copies, since a batch adds its headers to each message.
		msgs := make([]*nats.Msg, len(group))
		for i, m := range group {
			msgs[i] = &nats.Msg{Subject: m.Subject, Header: nats.Header{}, Data: m.Data}
		}
		ended, err := s.health.Began(s.w.Names.AttemptsStream(), msgs[0].Size())
		if err != nil {
			return err
		}
		_, err = jetstreamext.PublishMsgBatch(ctx, s.js, msgs, jetstreamext.BatchFlowControl{})
		ended(err)
		return err
	}
	answers := make(chan error, len(group))
	for _, m := range group {
		s.w.TrySend(m, func(_ uint64, err error) { answers <- err })
	}
	for range group {
		select {
		case err := <-answers:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Of returns the kept tries of the job, oldest first, including those under earlier fire
// ids. The error wraps [job.ErrUnavailable].
func (s *Attempts) Of(ctx context.Context, k job.Key) ([]job.Attempt, error) {
	if err := room.Of(ctx).Add(ctx, AttemptsPerJob*attemptBytes); err != nil {
		return nil, journal.NoRoom(err)
	}
	done, err := s.reads.W.TakeReads(ctx, AttemptsPerJob*attemptBytes)
	if err != nil {
		return nil, journal.Unavailable("couldn't read attempts", err)
	}
	defer done()
	messages, err := jetstreamext.GetBatch(ctx, s.reads.JS, s.w.Names.AttemptsStream(), AttemptsPerJob, jetstreamext.GetBatchSubject(s.w.Names.AttemptSubject(k)))
	if err != nil {
		return nil, journal.Unavailable("couldn't read attempts", err)
	}
	var all []job.Attempt
	for m, err := range messages {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			break
		}
		if err != nil {
			return nil, journal.Unavailable("couldn't read attempts", err)
		}
		a, err := contract.ParseAttempt(m.Data)
		if err != nil {
			s.log.Warn("message in ATTEMPTS is none; it is left alone", "sequence", m.Sequence, "error", err)
			continue
		}
		all = append(all, a)
	}
	slices.SortStableFunc(all, func(a, b job.Attempt) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.FireID, b.FireID), cmp.Compare(a.Number, b.Number))
	})
	return slices.CompactFunc(all, func(a, b job.Attempt) bool {
		return a.Started.Equal(b.Started) && a.FireID == b.FireID && a.Number == b.Number
	}), nil
}
