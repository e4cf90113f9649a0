package streams

import (
	"context"
	"strings"
	"time"
)

// Names for the tests of writes that do not work.

// ProbeAfter has streams tried after such a time without a write; call it before
// Run.
func (s *Store) ProbeAfter(d time.Duration) { s.health.probeAfter = d }

// WrittenStreams names the streams whose writes are looked after, ProbeSubject
// where one is tried.
func (s *Store) WrittenStreams() []string { return s.writtenStreams() }

func ProbeSubject(stream string) string { return probeSubject(stream) }

// Health is what is known of one stream, by a clock of the test's own.
type Health struct {
	h   *health
	now time.Time
}

func NewHealth(cfg Config) *Health {
	t := &Health{h: newHealth(cfg.withDefaults(), []string{FiresStream}), now: time.Unix(1e9, 0)}
	t.h.now = func() time.Time { return t.now }
	t.h.all[FiresStream].stored = t.now
	return t
}

func (t *Health) Pass(d time.Duration)        { t.now = t.now.Add(d) }
func (t *Health) Began() (func(error), error) { return t.h.began(FiresStream, 1) }
func (t *Health) Look(connected bool) int     { return len(t.h.look(connected)) }
func (t *Health) ProbeEnded(err error)        { t.h.probeEnded(FiresStream, 0, err) }
func (t *Health) Amiss() string               { return strings.Join(t.h.amiss(), "; ") }
func (t *Health) Stuck() bool                 { return len(t.h.stuck()) > 0 }
func (t *Health) Changed()                    { t.h.changed(FiresStream) }
func (t *Health) Hurry()                      { t.h.hurry() }

// StuckFor is how long the stream has taken no write, as a stop goes by that.
func (t *Health) StuckFor() time.Duration { return t.now.Sub(t.h.stuck()[0].since) }

var ErrTimeout = errTimeout

// CheckEmpty is what a restore asks first.
func (s *Store) CheckEmpty(ctx context.Context) error { return s.backups.checkEmpty(ctx) }

// OnBetter has f called when the stream is silent or down no more.
func (t *Health) OnBetter(f func()) { t.h.better = f }

// Silence has the store take a stream for silent until [Store.Answered]. No probe of it
// is sent any more. Call it while no write to the stream is under way.
func (s *Store) Silence(stream string) { s.fail(stream, errTimeout, noAnswer) }

// Refuse is Silence for a stream that refuses writes.
func (s *Store) Refuse(stream string, err error) { s.fail(stream, err, isRefused) }

func (s *Store) fail(stream string, err error, kind writeAnswer) {
	h := s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	state := h.all[stream]
	state.failed, state.since, state.tried = err, h.now(), h.now().Add(time.Hour)
	h.goesDown(stream, state, kind)
}

// Answered has it hear of a stored write to that stream.
func (s *Store) Answered(stream string) {
	s.health.mu.Lock()
	s.health.all[stream].asked++
	s.health.mu.Unlock()
	s.health.ended(stream, 1<<20, nil)
}

// FewClaims is how many claims a second are tried on a stream that refuses them.
const FewClaims = fewClaims

// MakeRoomAfter sets how old acked fires are at least that are removed to make room;
// call it before Run.
func (s *Store) MakeRoomAfter(d time.Duration) { s.fires.age = d }

// SpareOf returns the max_bytes of a jobs bucket, as last seen.
func (s *Store) SpareOf(partition int) int64 { return s.timers[partition].spare.maxBytes.Load() }
