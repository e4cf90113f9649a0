// Package loglimit bounds how fast a log grows, whatever happens outside.
//
// Its [Handler] sorts lines into kinds: those of one level and one message, unless
// the caller names the kind. Each kind has a rate of its own, so a flood of one
// hides no line of another. Lines beyond the rate are left out, and a line says how
// many. Debug lines are never left out: whoever asks for them wants them all.
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
	// outsideBurst and outsideInterval are those of what anybody outside can
	// bring about.
	outsideBurst    = 10
	outsideInterval = 10 * time.Second
	// tellEvery is how often it is said how many were left out.
	tellEvery = 10 * time.Second
	// maxKinds bounds the memory. Lines of a kind beyond it share one.
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
	left    int // lines that were left out and not told of
}

// mark is how a caller marks a line, in its context.
type mark struct {
	name    string
	outside bool
	always  bool
}

type markKey struct{}

// Outside marks lines that anybody outside can bring about, without bound: they
// are of the kind with that name, which has a low rate. The names must come from
// a fixed list.
func Outside(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, markKey{}, mark{name: name, outside: true})
}

// Named marks lines of the kind with that name, where the message is not constant.
func Named(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, markKey{}, mark{name: name})
}

// Always marks lines that are never left out, such as those of an audit.
func Always(ctx context.Context) context.Context {
	return context.WithValue(ctx, markKey{}, mark{always: true})
}

// OutsideHandler returns a handler all of whose lines are marked by [Outside], for
// a logger that knows no contexts.
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
	if m.always || r.Level < slog.LevelInfo || h.lines.take(r, m) {
		return h.next.Handle(ctx, r)
	}
	return nil
}

// take reports whether there is room for one more line of the kind.
func (l *lines) take(r slog.Record, m mark) bool {
	k := key{r.Level, m.name}
	if k.name == "" {
		k.name = r.Message
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.kinds[k]
	if of == nil {
		if len(l.kinds) >= maxKinds {
			k.name = "other lines"
			of = l.kinds[k]
		}
		if of == nil {
			of = &kind{limiter: rate.NewLimiter(rate.Every(interval), burst)}
			if m.outside {
				of.limiter = rate.NewLimiter(rate.Every(outsideInterval), outsideBurst)
			}
			l.kinds[k] = of
		}
	}
	if of.limiter.Allow() {
		return true
	}
	of.left++
	if !l.telling {
		l.telling = true
		time.AfterFunc(tellEvery, l.tell)
	}
	return false
}

// Flush says now how many lines were left out.
func (h *Handler) Flush() { h.lines.tell() }

// tell says how many lines of each kind were left out since it last did.
func (l *lines) tell() {
	l.mu.Lock()
	left := map[key]int{}
	for k, of := range l.kinds {
		if of.left > 0 {
			left[k] = of.left
			of.left = 0
		}
	}
	l.telling = false
	l.mu.Unlock()
	for k, n := range left {
		r := slog.NewRecord(time.Now(), k.level, "log lines were left out", 0)
		r.Add("lines", k.name, "left_out", n)
		_ = l.to.Handle(context.Background(), r) // as for any line, nobody to tell
	}
}
