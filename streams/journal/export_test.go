package journal

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// TestHealth is the health of one stream, driven by the test's own clock.
type TestHealth struct {
	h      *Health
	stream string
	now    time.Time
}

func NewTestHealth() *TestHealth { return NewTestHealthOf("FIRES") }

func NewTestHealthOf(stream string) *TestHealth {
	t := &TestHealth{h: NewHealth([]string{stream}, slog.New(slog.DiscardHandler), nil, nil), stream: stream, now: time.Unix(1e9, 0)}
	t.h.now = func() time.Time { return t.now }
	t.h.all[stream].stored = t.now
	return t
}

func (t *TestHealth) Pass(d time.Duration)        { t.now = t.now.Add(d) }
func (t *TestHealth) Began() (func(error), error) { return t.h.Began(t.stream, 1) }
func (t *TestHealth) Look(connected bool) int     { return len(t.h.look(connected)) }
func (t *TestHealth) ProbeEnded(err error)        { t.h.probeEnded(t.stream, 0, err) }
func (t *TestHealth) Amiss() string               { return strings.Join(t.h.Amiss(), "; ") }
func (t *TestHealth) Stuck() bool                 { return len(t.h.Stuck()) > 0 }
func (t *TestHealth) Changed()                    { t.h.Changed(t.stream) }
func (t *TestHealth) Hurry()                      { t.h.Hurry() }

// Write records a write of that size with its answer; Probe does so for a probe.
func (t *TestHealth) Write(size int, err error) {
	if ended, refused := t.h.Began(t.stream, size); refused == nil {
		ended(err)
	}
}

func (t *TestHealth) Probe(size int, err error) {
	t.h.all[t.stream].asked++
	t.h.all[t.stream].probes++
	t.h.probeEnded(t.stream, size, err)
}

// StuckFor returns how long the stream has accepted no write, by the time that stops the
// process.
func (t *TestHealth) StuckFor() time.Duration { return t.now.Sub(t.h.Stuck()[0].Since) }

// OnBetter has f called when the stream stops being silent or down.
func (t *TestHealth) OnBetter(f func()) { t.h.OnBetter = f }

// Ask sends m and waits until its callback has the answer.
func Ask(nc *nats.Conn, m *nats.Msg) (*nats.Msg, error) {
	a, err := NewRequester(nc, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return nil, err
	}
	w := &Writer{NC: nc, Ask: a.Ask}
	return w.Request(context.Background(), m)
}
