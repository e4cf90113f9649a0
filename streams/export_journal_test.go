package streams

import (
	"log/slog"
	"strings"
	"time"
)

// TestHealth is what is known of one stream, by a clock of the test's own.
type TestHealth struct {
	h   *health
	now time.Time
}

func NewTestHealth() *TestHealth {
	t := &TestHealth{h: newHealth([]string{"FIRES"}, slog.New(slog.DiscardHandler), nil, nil), now: time.Unix(1e9, 0)}
	t.h.now = func() time.Time { return t.now }
	t.h.all["FIRES"].stored = t.now
	return t
}

func (t *TestHealth) Pass(d time.Duration)        { t.now = t.now.Add(d) }
func (t *TestHealth) Began() (func(error), error) { return t.h.began("FIRES", 1) }
func (t *TestHealth) Look(connected bool) int     { return len(t.h.look(connected)) }
func (t *TestHealth) ProbeEnded(err error)        { t.h.probeEnded("FIRES", 0, err) }
func (t *TestHealth) Amiss() string               { return strings.Join(t.h.amiss(), "; ") }
func (t *TestHealth) Stuck() bool                 { return len(t.h.stuck()) > 0 }
func (t *TestHealth) Changed()                    { t.h.changed("FIRES") }
func (t *TestHealth) Hurry()                      { t.h.hurry() }

// StuckFor is how long the stream has taken no write, as a stop goes by that.
func (t *TestHealth) StuckFor() time.Duration { return t.now.Sub(t.h.stuck()[0].since) }

// OnBetter has f called when the stream is silent or down no more.
func (t *TestHealth) OnBetter(f func()) { t.h.better = f }
