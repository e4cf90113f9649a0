package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
)

// natsLog carries the embedded server's log into ours. Notices are debug
// lines here: the server is a part of Belfry, and its start is no news.
type natsLog struct {
	log *slog.Logger

	mu    sync.Mutex // guards first
	first error      // the first fatal message
}

// fatal returns the first message with which the server gave up. The server
// expects the process to exit on it, and tells nobody else.
func (l *natsLog) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

func (l *natsLog) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l *natsLog) Debugf(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l *natsLog) Warnf(format string, v ...any)   { l.say(slog.LevelWarn, format, v) }
func (l *natsLog) Errorf(format string, v ...any)  { l.say(slog.LevelError, format, v) }

// Tracef drops its line: traces hold payloads.
func (l *natsLog) Tracef(string, ...any) {}

func (l *natsLog) Fatalf(format string, v ...any) {
	l.say(slog.LevelError, format, v)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = fmt.Errorf(format, v...)
	}
}

func (l *natsLog) say(level slog.Level, format string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "nats-server", "said", fmt.Sprintf(format, v...))
	}
}
