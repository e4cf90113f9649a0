package streams

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams/manifest"
)

// PublishFunc sends one message and waits for its answer.
type PublishFunc func(context.Context, *nats.Msg, ...jetstream.PublishOpt) (*jetstream.PubAck, error)

// Intercept puts f between the store and JetStream, for all writes from now
// on; call it before Run.
func (s *Store) Intercept(f func(ctx context.Context, m *nats.Msg, send PublishFunc) (*jetstream.PubAck, error)) {
	submit := s.requests.W.Submit
	send := func(ctx context.Context, m *nats.Msg, _ ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
		type answer struct {
			seq uint64
			err error
		}
		answers := make(chan answer, 1)
		submit(m, func(seq uint64, err error) { answers <- answer{seq, err} })
		a := <-answers
		return &jetstream.PubAck{Sequence: a.seq}, a.err
	}
	s.requests.W.Submit = func(m *nats.Msg, done func(uint64, error)) func() bool {
		go func() {
			ack, err := f(context.Background(), m, send)
			if err != nil {
				ack = &jetstream.PubAck{}
			}
			done(ack.Sequence, err)
		}()
		return nil
	}
}

// InterceptReads lets f answer reads; a nil answer passes the read on. Call it before
// Run.
func (s *Store) InterceptReads(f func(*nats.Msg) *nats.Msg) {
	ask := s.requests.W.Ask
	s.requests.W.Ask = func(m *nats.Msg, done func(*nats.Msg, error)) {
		if answer := f(m); answer != nil {
			go done(answer, nil)
			return
		}
		ask(m, done)
	}
}

// AsReplicated makes the timers trust the server only as far as one of several; call it
// before Run.
func (s *Store) AsReplicated() {
	s.requests.W.Replicated = true
}

// Crash ends everything that Run has begun at once.
func (s *Store) Crash() {
	for _, t := range s.timers {
		t.Crash()
	}
}

// Doubt makes the timer doubt its last fires.
func (s *Store) Doubt() {
	fence, _, err := s.requests.W.LastOnLeader(context.Background(), FiresStream, fenceSubject(0))
	if err != nil {
		panic(err)
	}
	s.timers[0].Doubt("the test says so", fence.Seq)
}

// Remembered counts what is known about existing and deleted routes.
func (s *Store) Remembered() (routes, rates int) {
	return s.routes.Cache.Size(), s.rates.Size()
}

// DropRoute makes the cache record a deletion by this process.
func (s *Store) DropRoute(k job.RouteKey, revision uint64) { s.routes.Cache.Drop(k, revision) }

// HearState makes the timer compare its tail with a leader's answer about the bucket.
func (s *Store) HearState(created time.Time, last uint64) {
	s.timers[0].HearState(created, last)
}

// Owns reports whether the timer is at work.
func (s *Store) Owns() bool { return s.timers[0].Owns() }

// Entries counts the queues' records; call it when Run has returned.
func (s *Store) Entries() int {
	n := 0
	for _, t := range s.timers {
		n += t.Entries()
	}
	return n
}

// Owned counts the partitions whose timers are at work.
func (s *Store) Owned() int {
	n := 0
	for _, t := range s.timers {
		if t.Owns() {
			n++
		}
	}
	return n
}

// Mute cuts the store off from JetStream, as if its process were dead.
func (s *Store) Mute() { s.nc.Close() }

// ScanLettersFor sets how long one request reads dead letters.
func (s *Store) ScanLettersFor(d time.Duration) { s.letters.ScanTime = d }

// ReservePermits asks for permits as the timers do.
func (s *Store) ReservePermits(ctx context.Context, k job.RouteKey, limit job.RateLimit, n int) ([]time.Time, error) {
	return s.rates.Reserve(ctx, k, limit, n)
}

// ReadJobsFor sets how long one request reads jobs.
func (s *Store) ReadJobsFor(d time.Duration) { s.jobs.ReadTime = d }

// Unmake sets the manifest to the state that a first start leaves if it dies while it
// creates the streams.
func (s *Store) Unmake(ctx context.Context) error {
	return s.setup.Book().Change(ctx, func(m *manifest.Manifest) bool {
		m.Making, m.Made = append(m.Making, m.Made...), nil
		return true
	})
}

// ForgetMade removes a stream from the manifest, as a version without that stream leaves
// it.
func (s *Store) ForgetMade(ctx context.Context, stream string) error {
	return s.setup.Book().Change(ctx, func(m *manifest.Manifest) bool {
		m.Forget([]string{stream})
		return true
	})
}

// LargePulls counts the routes that expect large fires.
func (s *Store) LargePulls() int { return s.inboxes.LargePulls() }
