// Command chaos runs a workload against real processes while they are killed,
// paused and cut off, and checks that nothing was lost, doubled or early.
//
//	chaos --setting embedded --seed 7
//	chaos --setting cluster
//
// The embedded setting is one belfry with its own nats-server; the cluster is two belfry
// nodes on three nats-servers. The same seed makes the same faults and the same
// workload; how they meet is up to the machine. If a promise was broken, it exits with 1
// and the list of violations, and keeps the logs and the data.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
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
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	setting  setting
	seed     uint64
	duration time.Duration
	keep     bool
	bin      binaries
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(stderr)
	name := f.String("setting", "embedded", "where to run: embedded, or cluster")
	f.Uint64Var(&o.seed, "seed", 0, "the seed of the faults and the workload; 0 draws one")
	f.DurationVar(&o.duration, "duration", 0, "how long faults and workload go on; 0 is 60s embedded and 90s in the cluster")
	f.BoolVar(&o.keep, "keep", false, "keep the logs and the data of a good run too")
	f.StringVar(&o.bin.belfry, "belfry", "bin/belfry", "the belfry `binary`; the data goes to a temporary folder beside it")
	f.StringVar(&o.bin.natsServer, "nats-server", "bin/nats-server", "the nats-server `binary`, for the cluster")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; see chaos --help", f.Arg(0))
	}
	i := slices.IndexFunc(settings(), func(s setting) bool { return s.name == *name })
	if i < 0 {
		return o, fmt.Errorf("--setting %q: embedded and cluster are accepted", *name)
	}
	o.setting = settings()[i]
	if o.duration == 0 {
		o.duration = o.setting.duration
	}
	if o.duration < 5*time.Second {
		return o, fmt.Errorf("--duration %v: 5s or more is accepted", o.duration)
	}
	if o.seed == 0 {
		o.seed = uint64(rand.Uint32()) + 1
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "chaos --setting %s --seed %d --duration %v\n", o.setting.name, o.seed, o.duration)
	// Beside the binary, since the system's temporary folder may be in
	// memory, where syncing costs nothing.
	dir, err := os.MkdirTemp(filepath.Dir(o.bin.belfry), "chaos-")
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if slices.Contains(o.setting.kinds, fillDisk) {
		if err := canMakeDisks(ctx, dir); err != nil {
			fmt.Fprintf(stdout, "no disk is filled, since none can be made here: %v\n", err)
			o.setting = o.setting.without(fillDisk)
		}
	}
	h, windows, err := perform(ctx, o, dir, stdout)
	violations := check(h)
	if len(h.jobs) > 0 {
		if e := summarize(h, windows, o.setting.settle).write(stdout); e != nil {
			return e
		}
	}
	if err == nil && len(violations) == 0 {
		fmt.Fprintln(stdout, "nothing lost, doubled or early")
		if o.keep {
			fmt.Fprintln(stdout, "logs and data are in", dir)
			return nil
		}
		return os.RemoveAll(dir)
	}
	for _, v := range violations {
		fmt.Fprintln(stdout, "VIOLATION", v)
	}
	if len(violations) > 0 {
		err = errors.Join(fmt.Errorf("%d violations", len(violations)), err)
	}
	return fmt.Errorf("seed %d: %w; logs and data are in %s", o.seed, err, dir)
}

// perform makes one whole run.
func perform(ctx context.Context, o options, dir string, stdout io.Writer) (h history, windows []window, err error) {
	s, err := startSite(ctx, o.setting, o.bin, dir)
	if err != nil {
		return h, nil, err
	}
	defer func() { err = errors.Join(err, s.stop(), panicked(s)) }()
	in, err := newReceiver(s.natsURL)
	if err != nil {
		return h, nil, err
	}
	defer in.close()
	c := newCaller(s.apis)
	r := rand.New(rand.NewPCG(o.seed, 1))
	consumer, err := c.createRoutes(ctx, r, in)
	if err != nil {
		return h, nil, err
	}
	if err := in.subscribe(ctx, consumer); err != nil {
		return h, nil, err
	}

	p := newPlan(o.seed, o.setting, o.duration)
	start := time.Now()
	f := &faulter{site: s, caller: c, receiver: in, start: start, say: func(format string, args ...any) { fmt.Fprintf(stdout, format+"\n", args...) }}
	working, stopWorking := context.WithCancel(ctx)
	defer stopWorking()
	done := make(chan []told, 1)
	go func() { done <- (&workload{caller: c, seed: o.seed, start: start}).run(working, p.stories) }()
	for _, one := range p.faults {
		h.putBack = h.putBack || one.kind.gates()
		h.purged = h.purged || one.kind == purgeFires || one.within != nil && one.within.kind == purgeFires
	}
	windows, err = f.run(ctx, p.faults)
	if err != nil {
		stopWorking()
		<-done
		return h, windows, err
	}
	h.jobs = <-done
	if err := drain(ctx, c, r, in, &h); err != nil {
		return history{}, windows, err // half a run would mislead
	}
	return h, windows, nil
}

func panicked(s *site) error {
	if found := s.panics(); len(found) > 0 {
		return errors.New(strings.Join(found, "; "))
	}
	return nil
}
