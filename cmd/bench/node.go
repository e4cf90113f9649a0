package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/proc"
)

// node is a child process: a belfry, or a plain nats-server.
type node struct {
	api  string // host:port; set for a belfry
	nats string // host:port

	proc   *proc.Process
	dir    string
	fail   io.Writer // gets its warnings
	traced bool      // its Go runtime reports garbage collections

	mu          sync.Mutex // guards the fields below
	said        map[string]int
	more        chan struct{} // closed with the next line of the log
	heap        int           // the heap after the last garbage collection, in MB
	collections int
}

// startBelfry runs a belfry with an embedded server, on new data.
func (b *bench) startBelfry(ctx context.Context, sync string) (*node, error) {
	dir, err := os.MkdirTemp(b.dir, "belfry-")
	if err != nil {
		return nil, err
	}
	return b.resumeBelfry(ctx, sync, dir, "127.0.0.1:0")
}

func (b *bench) resumeBelfry(ctx context.Context, sync, dir, natsListen string) (*node, error) {
	config, err := b.writeConfig(sync)
	if err != nil {
		return nil, err
	}
	return b.start(ctx, dir, b.belfry, "serve", "--listen", "127.0.0.1:0", "--log-format", "json",
		"--nats-listen", natsListen, "--nats-config", config, "--data", dir)
}

// startBelfryOn runs a belfry that uses another server.
func (b *bench) startBelfryOn(ctx context.Context, natsAddr string) (*node, error) {
	return b.start(ctx, "", b.belfry, "serve", "--listen", "127.0.0.1:0", "--log-format", "json",
		"--nats-url", "nats://"+natsAddr)
}

// start returns when the child is ready. If b.traced is set, its Go runtime reports each
// garbage collection.
func (b *bench) start(ctx context.Context, dir, binary string, args ...string) (*node, error) {
	n := &node{
		proc: &proc.Process{Name: filepath.Base(binary), Path: binary, Args: args},
		dir:  dir, fail: b.log, traced: b.traced, said: map[string]int{}, more: make(chan struct{}),
	}
	if b.traced {
		n.proc.Env = append(os.Environ(), "GODEBUG=gctrace=1")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	up, err := n.proc.Serve(ctx, n.take)
	if err != nil {
		return nil, err
	}
	n.api = strings.TrimPrefix(up.API, "http://")
	n.nats = strings.TrimPrefix(up.NATS, "nats://")
	return n, nil
}

// collected finds the heap that a collection left, in a line of the Go runtime.
var collected = regexp.MustCompile(`\d+->\d+->(\d+) MB`)

// take handles one line of the log or of the runtime.
func (n *node) take(l proc.Line) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := collected.FindStringSubmatch(l.Text); m != nil {
		n.collections++
		n.heap, _ = strconv.Atoi(m[1]) // digits
	}
	if runtimes := l.Msg == "" && n.traced; l.Alarming() && !runtimes {
		fmt.Fprintln(n.fail, l.Text)
	}
	n.said[l.Msg]++
	close(n.more)
	n.more = make(chan struct{})
}

// waitSaid waits until the child has logged msg the given number of times.
func (n *node) waitSaid(ctx context.Context, msg string, times int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		n.mu.Lock()
		got, more := n.said[msg], n.more
		n.mu.Unlock()
		if got >= times {
			return nil
		}
		select {
		case <-more:
		case <-n.proc.Ended():
			return fmt.Errorf("it has ended: %v", n.proc.Err())
		case <-ctx.Done():
			return fmt.Errorf("waited for it to say %q: %w", msg, ctx.Err())
		}
	}
}

// liveHeap returns the bytes that the child's heap holds after the second collection
// from now, since pools survive one. Requests to its nats-server make it collect.
func (n *node) liveHeap(ctx context.Context) (float64, error) {
	nc, err := n.connect()
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	n.mu.Lock()
	first := n.collections
	n.mu.Unlock()
	for ctx.Err() == nil {
		n.mu.Lock()
		now, heap := n.collections, n.heap
		n.mu.Unlock()
		if now >= first+2 {
			return float64(heap) * (1 << 20), nil
		}
		var asking sync.WaitGroup
		for range 16 {
			asking.Go(func() {
				for range 100 {
					_, _ = nc.Request("$JS.API.STREAM.NAMES", nil, time.Second)
				}
			})
		}
		asking.Wait()
	}
	return 0, ctx.Err()
}

func (n *node) connect() (*nats.Conn, error) {
	return nats.Connect("nats://"+n.nats, nats.MaxReconnects(-1))
}

// jetStream opens a connection for much traffic.
func (n *node) jetStream() (jetstream.JetStream, error) {
	nc, err := n.connect()
	if err != nil {
		return nil, err
	}
	return jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(16<<10))
}

func (n *node) with(do func(jetstream.JetStream) error) error {
	js, err := n.jetStream()
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	return do(js)
}

// stop ends the child, if it still runs, and removes its data.
func (n *node) stop() {
	_ = n.proc.Stop() // its exit status no longer counts
	if n.dir != "" {
		os.RemoveAll(n.dir)
	}
}

// cpu returns the processor time that the child used, in seconds, once it has ended.
// Unlike the figures, it does not depend on other work on the machine.
func (n *node) cpu() float64 { return n.proc.CPU().Seconds() }

// kill ends the child without warning; its data stays.
func (n *node) kill() {
	_ = n.proc.Kill() // it may have ended already
}
