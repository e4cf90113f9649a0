// Command bench measures Belfry beside native JetStream schedules and the bare
// limit, and prints one table.
//
//	bench --belfry bin/belfry > table.md
//	bench --only 'burst' --quick
//
// Belfry is the real binary, as a child process with its embedded nats-server.
// Native schedules and the bare limit run against a nats-server of the same
// version and settings, also a child process. This process holds the clients,
// the subscribers and the receiver of webhooks, so all of them share the machine in the
// same way. The rows run one after the other, and so do the contestants within a row:
// other work on the machine hits all of them alike.
//
// The bare limit is the same work without a timer's promises: an async publish
// or a POST at the due time, or writes that keep nothing else in order.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == asServer {
		if err := runServer(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench: nats-server:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	belfry string // the binary
	self   string // this one, for the plain nats-server
	dir    string // holds all data, on the disk of the binary
	part   int    // only 1/part of the work is done; 0 is all of it
	traced bool   // children report their garbage collections
	log    io.Writer
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	b := &bench{log: stderr}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&b.belfry, "belfry", "bin/belfry", "the belfry `binary` to measure")
	quick := f.Bool("quick", false, "a tenth of the work, to see that all runs")
	only := f.String("only", "", "run the rows whose names match this `regexp`")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see bench --help", f.Arg(0))
	}
	if *quick {
		b.part = 10
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	// Not in the system's temporary folder, which may be in memory, where
	// syncing costs nothing.
	if b.dir, err = os.MkdirTemp(filepath.Dir(b.belfry), "bench-data-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)

	m, err := describeMachine(b.dir)
	if err != nil {
		return err
	}
	t := table{w: stdout}
	t.head(m)
	var failed []error
	for _, r := range rows() {
		if !wanted.MatchString(r.name) {
			continue
		}
		fmt.Fprintf(stderr, "%s …\n", r.name)
		before := cpuUsage()
		out, err := r.measure(ctx, b)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if err != nil {
			// The other rows are worth having; the exit status tells.
			failed = append(failed, fmt.Errorf("%s: %w", r.name, err))
			fmt.Fprintf(stderr, "%s: %v\n", r.name, err)
			continue
		}
		t.row(r, out, cpuUsage().others(before))
	}
	return errors.Join(failed...)
}

// scaled returns how much of n to do.
func (b *bench) scaled(n int) int {
	return max(n/max(b.part, 1), 1)
}
