package main

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"belfry/internal/loglimit"
)

// natsLog carries the embedded server's log into ours. Notices become debug lines here:
// the server is a part of Belfry, and its start is not news.
type natsLog struct {
	log *slog.Logger

	mu    sync.Mutex // guards the fields below
	first error      // the first fatal message
	said  []string   // the last warnings and errors
	hurt  []damageLine
	told  map[string]time.Time // when each warning and error was last logged
}

// repeatAfter is when a warning or error is logged again: the server repeats some every
// two seconds while a disk is full.
const repeatAfter = 10 * time.Minute

// maxSaid bounds the warnings and errors that are kept, and the reports of damage that
// nobody has asked for.
const maxSaid = 500

// damageLine is a warning that speaks of damaged files of a stream.
type damageLine struct {
	stream, text string
	index        bool // it is about the index of the blocks, which a crash damages
}

// These are the warnings of the server's file store about what it reads. Its index is
// written in place and is behind the blocks after a crash, so warnings about the index
// count only after a clean stop.
var (
	filestoreLine = regexp.MustCompile(`^Filestore \[([^\]]+)\] (.*)$`)
	dataWords     = regexp.MustCompile(`corrupt (record )?state in|loadBlock error|Error loading msg|checkMsgs:`)
	indexWords    = regexp.MustCompile(`could not locate msg block|state checksum did not match|state too short|magic and version mismatch|corrupt subject|bad (subject|block)|no checksum present|error decoding avl`)
)

// fatal returns the first message with which the server gave up. The server expects the
// process to exit on it, and reports it nowhere else.
func (l *natsLog) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

// about returns the last warnings and errors that name a stream, at most three, or the
// last ones of all if none names it.
func (l *natsLog) about(stream string) []string {
	named := regexp.MustCompile(`(^|[^\w-])` + regexp.QuoteMeta(stream) + `($|[^\w-])`)
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for _, line := range l.said {
		if named.MatchString(line) {
			all = append(all, strings.TrimSpace(line))
		}
	}
	if len(all) == 0 {
		all = l.said
	}
	return slices.Clone(all[max(0, len(all)-3):])
}

// damage returns the reports of damage since its last call: the first line for each
// stream, since thousands may follow.
func (l *natsLog) damage(afterCleanStop bool) []damageLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []damageLine
	seen := map[string]bool{}
	for _, line := range l.hurt {
		if !seen[line.stream] && (afterCleanStop || !line.index) {
			seen[line.stream] = true
			all = append(all, line)
		}
	}
	l.hurt = nil
	return all
}

func (l *natsLog) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l *natsLog) Debugf(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l *natsLog) Warnf(format string, v ...any)   { l.keep(format, v); l.say(slog.LevelWarn, format, v) }
func (l *natsLog) Errorf(format string, v ...any) {
	l.keep(format, v)
	l.say(slog.LevelError, format, v)
}

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

// keep remembers a warning or an error.
func (l *natsLog) keep(format string, v []any) {
	line := fmt.Sprintf(format, v...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said[max(0, len(l.said)-maxSaid+1):], line)
	m := filestoreLine.FindStringSubmatch(line)
	if m == nil || len(l.hurt) >= maxSaid {
		return
	}
	if index := indexWords.MatchString(m[2]); index || dataWords.MatchString(m[2]) {
		l.hurt = append(l.hurt, damageLine{m[1], m[2], index})
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
		if level > slog.LevelInfo && l.repeats(said, time.Now()) {
			level = slog.LevelDebug
		}
		ctx = loglimit.Named(ctx, "nats-server: "+format)
	}
	l.log.Log(ctx, level, "nats-server", "said", said)
}

// repeats reports whether the line was logged a moment ago.
func (l *natsLog) repeats(said string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.told[said]; ok && now.Sub(last) < repeatAfter {
		return true
	}
	if l.told == nil || len(l.told) >= maxSaid {
		l.told = map[string]time.Time{}
	}
	l.told[said] = now
	return false
}

// fromClient matches the beginning of a line about one connection from outside: its
// address and its number. Belfry's own connections have no address.
var fromClient = regexp.MustCompile(`^(\S+) - ((?:cid|wid|mid|mid_ws|lid|lid_ws|rid|gid)):\d+`)

// clientTroubles are the lines about clients that each have a rate of their own. Words
// in them identify them, since the client chooses the rest.
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
