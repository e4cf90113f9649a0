// Command belfry is a durable timer service: it keeps jobs in NATS JetStream
// and hands each to its route at its moment. `belfry serve` runs it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"belfry/internal/command"
)

func main() {
	// A second signal finds the default handling again and ends the process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	env := command.Env{
		Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Terminal: term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
	}
	if err := newCommand(env).Run(ctx, os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "belfry:", command.Message(err))
		os.Exit(command.ExitCode(err))
	}
}

// serve runs a [Server] until ctx ends or a part of it fails.
func serve(ctx context.Context, cfg Config, logTo io.Writer) error {
	// net/http prints what a receiver sent out of turn to the standard logger,
	// where payloads have no place.
	log.SetOutput(io.Discard)
	srv := New(cfg, newLogger(cfg, logTo))
	if err := srv.Start(ctx); err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil // told to stop while starting
		}
		return serveError(err)
	}
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-srv.Failed():
	}
	// What is in flight is finished although ctx is over; Stop has its own bound.
	stopped := srv.Stop(context.WithoutCancel(ctx))
	if failure == nil {
		return stopped
	}
	return serveError(errors.Join(failure, stopped))
}

func newLogger(cfg Config, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
