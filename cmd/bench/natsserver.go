package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"belfry/internal/proc"
)

// asServer makes this binary a plain nats-server.
const asServer = "nats-server"

// Both kinds of node get their nats-server configuration from here.
const natsConfig = `
server_name: bench
max_payload: 8MB
jetstream { sync_interval: %s }
`

func (b *bench) writeConfig(sync string) (string, error) {
	interval := "always"
	if sync == relaxed {
		interval = `"2m"` // the server's default
	}
	path := filepath.Join(b.dir, sync+".conf")
	return path, os.WriteFile(path, fmt.Appendf(nil, natsConfig, interval), 0o600)
}

// startServer runs a plain nats-server on new data.
func (b *bench) startServer(ctx context.Context, sync string) (*node, error) {
	dir, err := os.MkdirTemp(b.dir, "nats-")
	if err != nil {
		return nil, err
	}
	return b.resumeServer(ctx, sync, dir, 0)
}

func (b *bench) resumeServer(ctx context.Context, sync, dir string, port int) (*node, error) {
	config, err := b.writeConfig(sync)
	if err != nil {
		return nil, err
	}
	return b.start(ctx, dir, b.self, asServer, "--config", config, "--data", dir, "--port", strconv.Itoa(port))
}

// runServer runs the nats-server in such a child process.
func runServer(args []string) error {
	f := flag.NewFlagSet(asServer, flag.ContinueOnError)
	config := f.String("config", "", "")
	data := f.String("data", "", "")
	port := f.Int("port", 0, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	opts, err := server.ProcessConfigFile(*config)
	if err != nil {
		return err
	}
	opts.Host, opts.Port, opts.StoreDir, opts.NoLog, opts.NoSigs = "127.0.0.1", *port, *data, true, true
	if *port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	s.Start()
	if !s.ReadyForConnections(time.Minute) {
		return errors.New("it takes no connections")
	}
	fmt.Fprintf(os.Stderr, `{"msg":%q,"nats":%q}`+"\n", proc.SaysListening, s.ClientURL())
	<-end
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}
