// Command loadgen creates jobs on a running Belfry over REST and measures how
// they arrive. It uses nothing of Belfry but its API, and receives the fires itself, on
// a loopback port of its own.
//
//	loadgen --jobs 1000 --over 5s --max-p50 3ms --max-p99 10ms
//
// It exits with 1 if a job could not be created, is lost, arrives twice or
// early, or if they are later than allowed. Lateness is from a job's
// trigger_time to the start of its request's handling, so both programs must
// share a clock: run it on the machine of the Belfry it measures.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	server     string
	belfry     string
	natsConfig string
	load       load
	settle     time.Duration
	limits     limits
	json       bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("loadgen", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.server, "server", "http://127.0.0.1:8080", "`URL` of the Belfry to load")
	f.StringVar(&o.belfry, "belfry", "", "start this belfry `binary` instead, on free ports and with its data in a temporary folder beside it")
	f.StringVar(&o.natsConfig, "nats-config", "", "the --nats-config `file` of that belfry")
	f.IntVar(&o.load.jobs, "jobs", 1000, "how many jobs to create")
	f.DurationVar(&o.load.over, "over", 5*time.Second, "from the first due time to the last")
	f.DurationVar(&o.load.ahead, "ahead", 2*time.Second, "from the start of creating to the first due time")
	f.IntVar(&o.load.clients, "clients", 16, "how many requests create at once")
	f.DurationVar(&o.settle, "settle", 10*time.Second, "how long to wait for the last ones after their due time")
	f.DurationVar(&o.limits.p50, "max-p50", 0, "fail if half are later; 0 is no limit")
	f.DurationVar(&o.limits.p99, "max-p99", 0, "fail if one in a hundred is later; 0 is no limit")
	f.BoolVar(&o.json, "json", false, "print one JSON object instead of a table")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q; see loadgen --help", f.Arg(0))
	case o.load.jobs < 1 || o.load.clients < 1:
		return o, errors.New("--jobs and --clients must be at least 1")
	case o.load.over < 0 || o.load.ahead < 0 || o.settle < 0:
		return o, errors.New("--over, --ahead and --settle must not be negative")
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.belfry != "" {
		var stop func() error
		o.server, stop, err = startBelfry(ctx, o.belfry, o.natsConfig, stderr)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	r, err := measure(ctx, o)
	if err != nil {
		return err
	}
	if o.json {
		err = r.writeJSON(stdout)
	} else {
		err = r.writeTable(stdout)
	}
	return errors.Join(err, r.verdict(o.limits))
}

// measure makes one whole run.
func measure(ctx context.Context, o options) (report, error) {
	in, err := newReceiver()
	if err != nil {
		return report{}, err
	}
	defer in.close()
	c := newCaller(o.server, o.load)
	if err := c.createRoute(ctx, in.url()); err != nil {
		return report{}, fmt.Errorf("couldn't create the route: %w", err)
	}
	// The run leaves nothing behind, however it ends.
	defer c.deleteRoute(context.WithoutCancel(ctx))

	jobs := o.load.plan(time.Now())
	creations := c.createJobs(ctx, jobs)
	if ctx.Err() == nil {
		last := jobs[len(jobs)-1].due
		if now := time.Now(); now.After(last) {
			last = now // creating took longer than planned
		}
		in.wait(ctx, created(creations), last.Add(o.settle))
	}
	if ctx.Err() != nil {
		return report{}, errors.New("interrupted")
	}
	return newReport(creations, in.arrived()), nil
}
