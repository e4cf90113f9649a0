// Package logtest has a log for tests that read it while it is written.
package logtest

import (
	"bytes"
	"log/slog"
	"sync"
)

// Log keeps what is written to it. The zero Log is empty, and all of it is safe
// for concurrent use.
type Log struct {
	mu   sync.Mutex // guards what follows
	text bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns what was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Logger writes lines of text to l, of all levels.
func (l *Log) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
