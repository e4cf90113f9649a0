package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/loglimit"
	"belfry/internal/metrics"
	"belfry/streams/wire"
)

// Health tells for each stream that Belfry writes to whether writes work. It learns that
// from the answers to all writes, and from its own probes (probe.go) of streams that had
// no write for a while. It is safe for concurrent use.
//
// A server that refuses a write says why. A server that cannot store a message at all, as
// on a full disk, does not answer, and each write would wait until it times out. So while
// a stream is silent, Health refuses writes to it at once, and only probes go out.
type Health struct {
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics.Streams

	// reason is what the server last said about a stream, "" for nothing.
	reason func(stream string) string

	// ProbeAfter is how long a stream may go without a successful write before it is
	// probed. It is set before the first write.
	ProbeAfter time.Duration

	OnBetter func() // called when a stream stops being silent or down; must not block

	mu  sync.Mutex // guards what follows
	all map[string]*streamHealth
}

// streamHealth is what Health knows about one stream.
type streamHealth struct {
	asked  int       // writes that wait for their answer
	heard  time.Time // when a write was last answered, or the first unanswered one was sent
	stored time.Time // the last successful write
	tried  time.Time // the last probe
	probes int       // how many are under way
	probed time.Time // when the first of those was sent
	failed error     // the error of the last failed write since the last successful one
	since  time.Time // when failed was first set
	judged time.Time // when failed was first set, or the stream was last found changed; see [Health.Changed]
	size   int       // the size of a message that found no room, for the next probe
	larger bool      // the last probe of this working stream was the larger one
	down   bool      // writes are known not to work
	silent bool      // writes are not answered; set with down
	why    string    // why it is down, in words; set with down
}

const (
	// probeAfter is how long a stream may go without a successful write before it is
	// probed. probeAgain is the pause between two probes of a stream that fails.
	probeAfter = 10 * time.Second
	probeAgain = time.Second
	// probeSeldom is that pause for a stream that has failed for failsLong.
	probeSeldom = 5 * time.Second
	failsLong   = 30 * time.Second
	// silentAfter is how long writes may go unanswered before a stream counts as silent.
	// doubtAfter is how long before it is probed.
	silentAfter = AnswerWait
	doubtAfter  = time.Second
	// passing is how long failures count as an election, which passes. The other members
	// of a group wait four seconds for a dead leader, and vote then; see [inTouch].
	passing = 6 * time.Second
)

// NewHealth tracks the given streams. reason may be nil.
func NewHealth(streams []string, log *slog.Logger, m *metrics.Streams, reason func(stream string) string) *Health {
	if reason == nil {
		reason = func(string) string { return "" }
	}
	h := &Health{now: time.Now, log: log, metrics: m, reason: reason, ProbeAfter: probeAfter, all: map[string]*streamHealth{}}
	for _, name := range streams {
		h.all[name] = &streamHealth{stored: h.now()}
		h.metrics.Writable(name, true)
	}
	return h
}

// Began records that a write is being sent and returns a function that records its
// answer. The error refuses the write, because the stream is silent.
func (h *Health) Began(stream string, size int) (ended func(error), err error) {
	if h == nil {
		return func(error) {}, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.all[stream]
	switch {
	case s == nil:
		return func(error) {}, nil
	case s.silent:
		return nil, Unwritable([]string{stream}, s.why)
	}
	h.ask(s)
	return func(err error) { h.ended(stream, size, err, false) }, nil
}

// ask counts a write as asked. The caller holds h.mu. A failing stream's heard stays: it
// counts as unanswered since the first of its writes.
func (h *Health) ask(s *streamHealth) {
	if s.asked++; s.asked == 1 && s.failed == nil {
		s.heard = h.now()
	}
}

// Refused returns the error for a write to a silent stream, nil for any other stream.
func (h *Health) Refused(stream string) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.all[stream]; s != nil && s.silent {
		return Unwritable([]string{stream}, s.why)
	}
	return nil
}

// Unwritable returns the error for streams that accept no writes. It is a
// [job.ErrUnavailable], and it is already in the log.
func Unwritable(streams []string, why string) error {
	return unwritableError{unwritableText(streams, why)}
}

// unwritableError refuses a write to a silent stream. It is already in the log.
type unwritableError struct{ text string }

func (e unwritableError) Error() string { return fmt.Sprintf("%v: %s", job.ErrUnavailable, e.text) }
func (e unwritableError) Unwrap() error { return job.ErrUnavailable }

// IsLogged reports whether an error is already in the log.
func IsLogged(err error) bool {
	var refused unwritableError
	var told toldError
	return errors.As(err, &refused) || errors.As(err, &told)
}

func unwritableText(streams []string, why string) string {
	return fmt.Sprintf("couldn't write to %s: %s", strings.Join(streams, ", "), why)
}

// errNotSent means that the write never left, so its failure says nothing about the
// stream.
var errNotSent = errors.New("the write was not sent")

// ended records the answer to a write. A full bucket accepts a message that is no larger
// than the one it replaces, so there only a probe shows that there is room again.
func (h *Health) ended(stream string, size int, err error, probe bool) {
	kind := answerKind(err)
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.all[stream]
	defer h.tellBetter(s, s.silent, s.down)
	s.asked--
	if kind == saysNothing || kind == saysOfMessage {
		return // a server that cannot store can still refuse by comparison
	}
	now := h.now()
	if kind != noAnswer {
		s.heard = now
	}
	switch {
	case kind == isStored && size >= s.size && (probe || !isFull(s.failed) || !wire.IsBucket(stream)):
		s.stored = now
		h.works(stream, s)
	case kind == isStored:
		s.stored = now
		s.silent = false
	default:
		h.fails(stream, s, size, err, kind, now)
	}
}

// tellBetter calls OnBetter if the stream was silent or down and is not any more. The
// caller holds h.mu.
func (h *Health) tellBetter(s *streamHealth, wasSilent, wasDown bool) {
	if h.OnBetter != nil && (wasSilent && !s.silent || wasDown && !s.down) {
		h.OnBetter()
	}
}

// fails records a failed write. The caller holds h.mu.
func (h *Health) fails(stream string, s *streamHealth, size int, err error, kind writeAnswer, now time.Time) {
	if s.failed == nil {
		s.since, s.judged = now, now
	}
	s.failed = err
	if tooLarge(err) || isFull(err) {
		s.size = max(s.size, size)
	}
	if kind == IsRefused || now.Sub(s.since) >= passing && kind == noLeader {
		h.goesDown(stream, s, kind)
	}
}

// goesDown records that writes to a stream do not work. The caller holds h.mu.
func (h *Health) goesDown(stream string, s *streamHealth, kind writeAnswer) {
	s.silent = kind == noAnswer
	s.why = h.words(stream, s.failed, kind)
	if s.down {
		return
	}
	s.down = true
	h.metrics.Writable(stream, false)
	// All streams commonly share one reason, and /readyz and a metric name each stream.
	why, _, _ := strings.Cut(s.why, theServerSays)
	ctx := loglimit.Cause(loglimit.Named(context.Background(), "writes to a stream do not work: "+why))
	h.log.ErrorContext(ctx, "writes to a stream do not work; Belfry goes on by itself when they do", "stream", stream, "reason", s.why, "do", AdviceFor(kind, s.failed))
}

// works records a successful write. The caller holds h.mu.
func (h *Health) works(stream string, s *streamHealth) {
	if s.down {
		h.metrics.Writable(stream, true)
		loglimit.Info(h.log, "writes to the stream work again", "stream", stream, "after", h.now().Sub(s.since).Round(time.Millisecond))
	}
	s.failed, s.since, s.judged, s.size, s.down, s.silent, s.why = nil, time.Time{}, time.Time{}, 0, false, false, ""
}

// Changed records that somebody else changed a stream, or that it was mended. Earlier
// failures say nothing about the stream as it is now, so it is judged anew: it is probed
// at once, and counts as stuck only from now on.
func (h *Health) Changed(stream string) {
	if h == nil { // before the streams exist
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.all[stream]; s != nil && s.failed != nil {
		s.judged, s.tried = h.now(), time.Time{}
	}
}

// Hurry has the streams that do not work probed at once.
func (h *Health) Hurry() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.all {
		if s.down {
			s.tried = time.Time{}
		}
	}
}

// Amiss describes each stream that cannot be written.
func (h *Health) Amiss() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var causes []string
	names, first := map[string][]string{}, map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(h.all)) {
		s := h.all[name]
		if !s.down {
			continue
		}
		cause := s.why[strings.LastIndex(s.why, ": ")+1:] // without the names of files and streams
		if len(names[cause]) == 0 {
			causes, first[cause] = append(causes, cause), s.why
		}
		names[cause] = append(names[cause], name)
	}
	for _, cause := range causes {
		all = append(all, unwritableText(names[cause], first[cause]))
	}
	return all
}

// stuckStream is a stream that has been unable to accept any write since Since.
type stuckStream struct {
	Name  string
	Since time.Time
	Why   string
}

// Stuck returns the streams that cannot accept any write, the longest stuck first. A
// refusal does not make a stream stuck: it passes when its cause does.
func (h *Health) Stuck() (all []stuckStream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, s := range h.all {
		var refused *jetstream.APIError
		if s.down && !errors.As(s.failed, &refused) && !errors.Is(s.failed, errOtherStream) {
			all = append(all, stuckStream{name, s.judged, unwritableText([]string{name}, s.why)})
		}
	}
	slices.SortFunc(all, func(a, b stuckStream) int { return a.Since.Compare(b.Since) })
	return all
}

// Short returns since when a stream has refused writes for lack of storage, and why.
func (h *Health) Short() (since time.Time, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, s := range h.all {
		if s.down && isShort(s.failed) && (why == "" || s.since.Before(since)) {
			since, why = s.since, unwritableText([]string{name}, s.why)
		}
	}
	return since, why
}

// told wraps the error of a write for its caller. If the stream is down, the log has it
// already and the error says so.
func (h *Health) told(stream string, err error) error {
	if h == nil || err == nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.all[stream]; s != nil && s.down {
		return toldError{err}
	}
	return err
}

// toldError is an error that is already in the log.
type toldError struct{ error }

func (e toldError) Unwrap() error { return e.error }

// Refuses reports whether a stream is known to refuse writes or to have nobody who
// accepts them. A stream that refuses a message for its size accepts others.
func (h *Health) Refuses(stream string) bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.all[stream]
	return s != nil && s.down && !tooLarge(s.failed)
}

// Judge makes a stream count as failing with err until it is judged again, or as working
// if err is nil. Only tests use it.
func (h *Health) Judge(stream string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.all[stream]
	defer h.tellBetter(s, s.silent, s.down)
	if err == nil {
		s.stored, s.tried = h.now(), time.Time{}
		h.works(stream, s)
		return
	}
	s.failed, s.since, s.tried = err, h.now(), h.now().Add(time.Hour)
	h.goesDown(stream, s, answerKind(err))
}
