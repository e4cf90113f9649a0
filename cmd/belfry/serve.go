package main

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"belfry/internal/command"
	"belfry/internal/logqueue"
)

// These bound how long the end of the process waits for the reader of its log, and then
// for the reader of its last error.
const (
	logLimit   = time.Second
	wordsLimit = time.Second
)

// serve runs a [Server] until ctx ends or a part of it fails.
func serve(ctx context.Context, cfg Config, logTo io.Writer) error {
	// net/http prints to the standard logger what a receiver sent out of turn, and
	// payloads must not be in the log.
	log.SetOutput(io.Discard)
	if logTo == io.Writer(os.Stderr) {
		// A log whose reader has left is no reason to end.
		signal.Ignore(syscall.SIGPIPE)
		logTo = ownStderr()
	}
	lines := logqueue.New(logTo, func(dropped uint64) []byte {
		var line bytes.Buffer
		slog.New(logHandler(cfg.LogFormat, &line, nil)).Warn("lines of the log were dropped", "lines", dropped)
		return line.Bytes()
	})
	defer lines.Close(logLimit)
	srv := New(cfg, newLogger(cfg, lines))
	srv.logDropped = lines.Dropped
	if err := srv.Start(ctx); err != nil {
		if ctx.Err() != nil { // it was told to stop while starting
			srv.log.Info("belfry was told to stop while it started", "start", err)
			return nil
		}
		return serveError(err)
	}
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-srv.Failed():
	}
	// Stop finishes what is in flight although ctx is over, and has its own bound.
	stopped := srv.Stop(context.WithoutCancel(ctx))
	if failure == nil && stopped != nil {
		return command.StartAgain(stopped) // no failure of a stop needs a person
	}
	return serveError(endedBy(failure, stopped))
}

func newLogger(cfg Config, w io.Writer) *slog.Logger {
	return slog.New(logHandler(cfg.LogFormat, w, &slog.HandlerOptions{Level: cfg.LogLevel}))
}

func logHandler(format string, w io.Writer, opts *slog.HandlerOptions) slog.Handler {
	if format == "json" {
		return slog.NewJSONHandler(w, opts)
	}
	return slog.NewTextHandler(w, opts)
}

// lastWords says why the process ends. A reader that does not read does not keep the
// process from ending.
func lastWords(w io.Writer, message string) {
	words := logqueue.New(w, nil)
	_, _ = io.WriteString(words, "belfry: "+message+"\n") // it never fails
	words.Close(wordsLimit)
}
