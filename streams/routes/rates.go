package routes

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	limits "golang.org/x/time/rate"

	"belfry/internal/job"
	"belfry/streams/due"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// Rates hands out permits to begin fires, so that a route with a rate limit keeps it over
// all nodes. The time of a route's next permit is one key in the gates bucket, advanced
// by compare-and-set. It is safe for concurrent use.
type Rates struct {
	w          *journal.Writer
	cfg        Config
	partitions int
	clocks     *limits.Sometimes // limits the log about times too far ahead

	mu    sync.Mutex // guards what follows
	known map[job.RouteKey]*rate
}

// rate is what this node knows about a route's key.
type rate struct {
	mu       sync.Mutex // held while the key is written
	revision uint64
	next     time.Time // the time of the next permit
}

func newRates(w *journal.Writer, cfg Config, partitions int) *Rates {
	return &Rates{w: w, cfg: cfg, partitions: partitions, clocks: due.NewClockTrouble(), known: map[job.RouteKey]*rate{}}
}

// Reserve returns n permits of a route in order, each with its time. A permit lets one
// fire begin at that time or later.
func (s *Rates) Reserve(ctx context.Context, k job.RouteKey, limit job.RateLimit, n int) ([]time.Time, error) {
	r := s.rate(k)
	r.mu.Lock()
	defer r.mu.Unlock()
	pause := journal.NewBackOff(2*time.Millisecond, 100*time.Millisecond)
	for {
		now := s.cfg.Now()
		permits, next := permitsFrom(s.honest(k, r.next, now, limit), now, limit, n)
		seq, err := s.w.Send(ctx, &nats.Msg{
			Subject: s.cfg.Names.GatesSubject(wire.RateKey(k)),
			Header:  nats.Header{wire.HeaderExpectSubjectSeq: {wire.FormatUint(r.revision)}},
			Data:    strconv.AppendInt(nil, next.UnixNano(), 10),
		})
		if err == nil {
			r.revision, r.next = seq, next
			return permits, nil
		}
		if !errors.Is(err, journal.ErrConflict) {
			// If it was written after all, the permits are lost.
			r.revision = 0
			return nil, err
		}
		if err := s.read(ctx, k, r); err != nil {
			return nil, err
		}
		if !journal.Sleep(ctx, pause.NextBackOff()) {
			return nil, ctx.Err()
		}
	}
}

func (s *Rates) rate(k job.RouteKey) *rate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[k] == nil {
		s.known[k] = &rate{}
	}
	return s.known[k]
}

// forget drops what is known about a deleted route.
func (s *Rates) forget(k job.RouteKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, k)
}

// read loads what another node wrote.
func (s *Rates) read(ctx context.Context, k job.RouteKey, r *rate) error {
	m, found, err := s.w.LastOnLeader(ctx, s.cfg.Names.GatesStream(), s.cfg.Names.GatesSubject(wire.RateKey(k)))
	if err != nil {
		return err
	}
	r.revision, r.next = m.Seq, time.Time{}
	if !found || wire.IsMarker(m.Header) {
		return nil
	}
	nanos, err := strconv.ParseInt(string(m.Data), 10, 64)
	if err != nil {
		s.cfg.Log.Warn("value in the gates bucket is no time; it is written anew", "key", wire.RateKey(k))
		return nil
	}
	r.next = time.Unix(0, nanos)
	return nil
}

// honest returns the time of the next permit: the known time, or now if Belfry cannot
// have reserved so far ahead. In that case the route gets no burst.
func (s *Rates) honest(k job.RouteKey, next, now time.Time, limit job.RateLimit) time.Time {
	if next.Sub(now) <= due.HonestPermits(limit, s.partitions) {
		return next
	}
	s.clocks.Do(func() {
		s.cfg.Log.Warn(due.TooFarAhead, "bucket", s.cfg.Names.GatesBucket(), "key", wire.RateKey(k), "next_permit", next.UTC())
	})
	return now
}

// permitsFrom returns n permits, the first for the time next if that is not long past.
// After an idle time, a burst of permits may be used at once.
func permitsFrom(next, now time.Time, limit job.RateLimit, n int) (permits []time.Time, then time.Time) {
	interval := time.Duration(float64(time.Second) / limit.PerSecond)
	if earliest := now.Add(-interval * time.Duration(max(limit.Burst, 1)-1)); next.Before(earliest) {
		next = earliest
	}
	for range n {
		permits = append(permits, next)
		next = next.Add(interval)
	}
	return permits, next
}

// Size counts the routes with a rate that this node has asked for.
func (r *Rates) Size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.known)
}
