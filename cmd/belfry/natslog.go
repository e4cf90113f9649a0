package main

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"

	"belfry/internal/loglimit"
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
	ctx := context.Background()
	if !l.log.Enabled(ctx, level) {
		return
	}
	said := fmt.Sprintf(format, v...)
	if client, is := clientLine(said); is {
		ctx = loglimit.Outside(ctx, client)
	} else {
		ctx = loglimit.Named(ctx, "nats-server: "+format)
	}
	l.log.Log(ctx, level, "nats-server", "said", said)
}

// fromClient is how a line about one connection from outside begins: with its
// address and its number. Belfry's own connections have no address.
var fromClient = regexp.MustCompile(`^(\S+) - ((?:cid|wid|mid|mid_ws|lid|lid_ws|rid|gid)):\d+`)

// clientTroubles are the lines about clients that each have a rate of their own.
// They are told by words in them, since the rest is the client's to choose.
var clientTroubles = []string{
	"Publish Violation", "Subscription Violation", "Reply", "authentication error", "Authorization", "authentication timeout",
	"TLS handshake error", "Stale Client", "Slow Consumer", "maximum connections exceeded", "maximum subscriptions exceeded",
	"maximum payload", "Parser", "protocol",
}

// clientLine names the kind of a line about a connection from outside.
func clientLine(said string) (kind string, is bool) {
	from := fromClient.FindStringSubmatch(said)
	if from == nil || from[1] == "pipe" {
		return "", false
	}
	for _, trouble := range clientTroubles {
		if strings.Contains(said, trouble) {
			return "nats-server: " + from[2] + ": " + trouble, true
		}
	}
	return "nats-server: " + from[2], true
}
