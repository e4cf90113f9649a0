// Command belfry is a durable timer service: it keeps jobs in NATS JetStream
// and hands each to its route at its moment. `belfry serve` runs it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"belfry/internal/command"
)

// oneSignal is how long repeated signals count as one.
const oneSignal = time.Second

func main() {
	// A second signal finds the default handling again and ends the process. A signal
	// within a second is the same one: a terminal and the process that started this one
	// both send it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { time.AfterFunc(oneSignal, stop) })
	env := command.Env{
		Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Terminal: term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
	}
	if err := newCommand(env).Run(ctx, os.Args); err != nil {
		lastWords(os.Stderr, command.Message(err))
		os.Exit(command.ExitCode(err))
	}
}
