// Command clusterdemo runs the cluster of docs/cluster.md for real: three
// nats-servers and two belfry nodes on this machine, on free loopback ports. It
// creates jobs through the first node, kills that node, and shows that the
// other one fires them, and how late. Nothing of it is left at the end.
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
	"syscall"
	"time"

	"belfry/api/client"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	belfry := flag.String("belfry", "bin/belfry", "the belfry `binary`; the data goes to a temporary folder beside it")
	natsServer := flag.String("nats-server", "bin/nats-server", "the nats-server `binary`")
	flag.Parse()
	if err := run(ctx, *belfry, *natsServer, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "clusterdemo:", err)
		os.Exit(1)
	}
}

const (
	jobs  = 40
	apart = 250 * time.Millisecond // the time between two jobs
	ahead = 2 * time.Second        // the time from the creation of the first job to its due time
)

func run(ctx context.Context, belfry, natsServer string, out io.Writer) (err error) {
	dir, err := os.MkdirTemp(filepath.Dir(belfry), "clusterdemo-")
	if err != nil {
		return err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c, err := newCluster(belfry, natsServer, dir)
	if err != nil {
		return err
	}
	defer func() {
		fmt.Fprintln(out, "stopping everything")
		err = errors.Join(err, c.stop())
	}()
	if err := c.start(ctx, out); err != nil {
		return err
	}
	in, err := newReceiver()
	if err != nil {
		return err
	}
	defer in.close()
	node1, err := client.New(c.apis[0], "")
	if err != nil {
		return err
	}

	fmt.Fprintln(out, "\nthrough node 1: a route, and a job due in 2 s")
	if err := createRoute(ctx, node1, in.url()); err != nil {
		return err
	}
	if err := create(ctx, node1, "first", time.Now().Add(ahead)); err != nil {
		return err
	}
	a, err := in.next(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "  %s  the webhook got job %s, %v late\n", a.at.Format(clock), a.job, a.late)

	fmt.Fprintf(out, "\nthrough node 1: %d jobs, due one every %v\n", jobs, apart)
	start := time.Now().Add(ahead)
	for i := range jobs {
		if err := create(ctx, node1, fmt.Sprint(i+1), start.Add(time.Duration(i)*apart)); err != nil {
			return err
		}
	}
	return watch(ctx, c, in, out)
}

// watch kills the first node when a quarter of the jobs has arrived, and reports how the
// others arrive.
func watch(ctx context.Context, c *cluster, in *receiver, out io.Writer) error {
	var latest time.Duration
	seen := map[string]bool{}
	for len(seen) < jobs {
		a, err := in.next(ctx)
		if err != nil {
			return fmt.Errorf("%d of %d jobs arrived: %w", len(seen), jobs, err)
		}
		if seen[a.job] {
			fmt.Fprintf(out, "  %s  the webhook got job %s once more: node 1 died between its answer and the note of it\n", a.at.Format(clock), a.job)
			continue
		}
		seen[a.job] = true
		latest = max(latest, a.late)
		fmt.Fprintf(out, "  %s  the webhook got job %s, %v late\n", a.at.Format(clock), a.job, a.late)
		if len(seen) == jobs/4 && c.nodes[0].Running() {
			if err := c.nodes[0].Kill(); err != nil {
				return err
			}
			fmt.Fprintf(out, "  %s  killed node 1 with SIGKILL\n", time.Now().Format(clock))
		}
	}
	fmt.Fprintf(out, "\nall %d jobs arrived, the latest %v late; node 2 says of the last one:\n", jobs, latest)
	node2, err := client.New(c.apis[1], "")
	if err != nil {
		return err
	}
	text, err := delivered(ctx, node2, fmt.Sprint(jobs))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "  %s\n\n", text)
	return nil
}

// clock is the format of printed times.
const clock = "15:04:05.000"
