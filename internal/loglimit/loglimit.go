// Package loglimit bounds how fast a log grows, whatever happens outside.
//
// Its [Handler] sorts lines into kinds. Lines of one level and one message are one
// kind, unless the caller names the kind. Each kind has a rate of its own, so a flood
// of one hides no line of another. Lines beyond the rate are left out, and a line
// says how many. Debug lines are never left out: a person who asks for them wants
// them all.
//
// [Cause] marks the lines that an outage repeats for each job, route and request. One
// such line a second is logged, and it says how many were left out since the last
// one.
package loglimit

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// burst lines of a kind come at once, and then one each interval.
	burst    = 50
	interval = time.Second
	// outsideBurst and outsideInterval are the same for lines that anybody outside
	// can cause.
	outsideBurst    = 10
	outsideInterval = 10 * time.Second
	// causeInterval is the time between two lines of one cause.
	causeInterval = time.Second
	// tellEvery is how often a line says how many were left out.
	tellEvery = 10 * time.Second
	// maxKinds bounds the memory. Lines of any further kind share one kind.
	maxKinds = 1000
)

// Handler bounds the lines that reach another handler. It is safe for concurrent
// use.
type Handler struct {
	next  slog.Handler
	lines *lines // of all handlers that were derived from one
}

// New returns a handler in front of next.
func New(next slog.Handler) *Handler {
	return &Handler{next: next, lines: &lines{to: next, kinds: map[key]*kind{}}}
}

type lines struct {
	to slog.Handler // for what is said of the lines themselves

	mu      sync.Mutex // guards what follows
	kinds   map[key]*kind
	telling bool // a tell is to come
}

type key struct {
	level slog.Level
	name  string
}

type kind struct {
	limiter *rate.Limiter
	left    int           // lines that were left out and not told of
	spread  *rate.Limiter // of lines of a cause, nil for others; both have to allow a line
	last    time.Time     // when a line of the cause was last logged
	quiet   time.Duration // after that long the cause is over
}

// mark is how a caller marks a line, in its context.
type mark struct {
	name    string
	outside bool
	always  bool
	cause   bool
}

type markKey struct{}

// Outside marks lines that anybody outside can cause, without bound. They belong to
// the kind with that name, which has a low rate. The names must come from a fixed
// list.
func Outside(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, markKey{}, mark{name: name, outside: true})
}

// Named marks lines of the kind with that name, where the message is not constant.
func Named(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, markKey{}, mark{name: name})
}

// Cause marks lines that say why something cannot continue yet, which an outage
// repeats for each job, route and request. At most one line of a kind is logged each
// second; its left_out is how many were left out since the last one. Cause keeps the
// name and the rate of a mark that ctx already has.
func Cause(ctx context.Context) context.Context {
	m, _ := ctx.Value(markKey{}).(mark)
	m.cause = true
	return context.WithValue(ctx, markKey{}, m)
}

// causeOnly has the mark of Cause and no other.
var causeOnly = Cause(context.Background())

// Warn logs a warning that is marked by [Cause].
func Warn(log *slog.Logger, msg string, args ...any) { log.WarnContext(causeOnly, msg, args...) }

// Info is [Warn] at the info level, for the end of an outage.
func Info(log *slog.Logger, msg string, args ...any) { log.InfoContext(causeOnly, msg, args...) }

// Error is [Warn] at the error level.
func Error(log *slog.Logger, msg string, args ...any) { log.ErrorContext(causeOnly, msg, args...) }

// Always marks lines that are never left out, such as those of an audit.
func Always(ctx context.Context) context.Context {
	return context.WithValue(ctx, markKey{}, mark{always: true})
}

// OutsideHandler returns a handler that marks all its lines with [Outside], for a
// logger that does not use contexts.
func OutsideHandler(h slog.Handler, name string) slog.Handler { return outsideHandler{h, name} }

type outsideHandler struct {
	slog.Handler
	name string
}

func (h outsideHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.Handler.Handle(Outside(ctx, h.name), r)
}

// Enabled implements [slog.Handler].
func (h *Handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

// WithAttrs implements [slog.Handler].
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{h.next.WithAttrs(attrs), h.lines}
}

// WithGroup implements [slog.Handler].
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{h.next.WithGroup(name), h.lines}
}

// Handle implements [slog.Handler].
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	m, _ := ctx.Value(markKey{}).(mark)
	if m.always || r.Level < slog.LevelInfo {
		return h.next.Handle(ctx, r)
	}
	room, left := h.lines.take(r, m)
	if !room {
		return nil
	}
	if left > 0 {
		r = r.Clone()
		r.Add("left_out", left)
	}
	return h.next.Handle(ctx, r)
}

// take reports whether there is room for one more line of the kind, and how many
// left-out lines of its cause it stands for.
func (l *lines) take(r slog.Record, m mark) (room bool, left int) {
	k := key{r.Level, m.name}
	if k.name == "" {
		k.name = r.Message
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.kindOf(k, m)
	if of.allow() {
		if of.spread != nil {
			left, of.left, of.last = of.left, 0, time.Now()
		}
		return true, left
	}
	of.left++
	l.tellLater()
	return false, 0
}

// kindOf returns the kind of a key; the first line creates it. l.mu must be held.
func (l *lines) kindOf(k key, m mark) *kind {
	of := l.kinds[k]
	if of == nil && len(l.kinds) >= maxKinds {
		k.name = "other lines"
		of = l.kinds[k]
	}
	if of == nil {
		of = &kind{limiter: rate.NewLimiter(rate.Every(interval), burst), quiet: 2 * causeInterval}
		if m.outside {
			of.limiter, of.quiet = rate.NewLimiter(rate.Every(outsideInterval), outsideBurst), 2*outsideInterval
		}
		if m.cause {
			of.spread = rate.NewLimiter(rate.Every(causeInterval), 1)
		}
		l.kinds[k] = of
	}
	return of
}

func (k *kind) allow() bool { return (k.spread == nil || k.spread.Allow()) && k.limiter.Allow() }

// tellLater schedules a report of the lines that were left out. l.mu must be held.
func (l *lines) tellLater() {
	if !l.telling {
		l.telling = true
		time.AfterFunc(tellEvery, func() { l.tell(false) })
	}
}

// Flush reports now how many lines were left out.
func (h *Handler) Flush() { h.lines.tell(true) }

// tell reports how many lines of each kind were left out since its last report. A
// cause that continues reports its own, unless this is the last call.
func (l *lines) tell(last bool) {
	l.mu.Lock()
	left := map[key]int{}
	l.telling = false
	for k, of := range l.kinds {
		switch {
		case of.left == 0:
		case of.spread != nil && !last && time.Since(of.last) < of.quiet:
			l.tellLater()
		default:
			left[k] = of.left
			of.left = 0
		}
	}
	l.mu.Unlock()
	for k, n := range left {
		r := slog.NewRecord(time.Now(), k.level, "log lines were left out", 0)
		r.Add("lines", k.name, "left_out", n)
		_ = l.to.Handle(context.Background(), r) // as for any line, nobody to tell
	}
}
