// Package natstest runs real nats-servers with JetStream for tests, on free
// ports and in the test's own folder.
package natstest

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"belfry/internal/waittest"
)

// Server is a running nats-server with JetStream, which ends with its test.
type Server struct {
	*server.Server

	t    testing.TB
	opts *server.Options
}

// Start runs a server that syncs when it likes, as fast tests want it.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartWith(t, &server.Options{})
}

// StartWith is Start with the test's own options, such as who may connect or where
// the data is.
func StartWith(t testing.TB, opts *server.Options) *Server {
	t.Helper()
	opts.Host, opts.Port, opts.JetStream, opts.NoLog, opts.NoSigs = "127.0.0.1", freePort(t), true, true, true
	if opts.StoreDir == "" {
		opts.StoreDir = t.TempDir()
	}
	return start(t, opts)
}

func start(t testing.TB, opts *server.Options) *Server {
	t.Helper()
	s := &Server{t: t, opts: opts}
	s.run()
	t.Cleanup(s.Stop)
	return s
}

func (s *Server) run() {
	s.t.Helper()
	ns, err := server.NewServer(s.opts)
	if err != nil {
		s.t.Fatalf("couldn't make a nats-server: %v", err)
	}
	ns.Start()
	if !ns.ReadyForConnections(waittest.Patience) {
		s.t.Fatalf("the nats-server is not ready after %v", waittest.Patience)
	}
	s.Server = ns
}

// Stop ends the server; its data stays. Stopping twice does no harm.
func (s *Server) Stop() {
	s.Shutdown()
	s.WaitForShutdown()
}

// Restart stops the server and runs it again on its data and its port.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.run()
}

// Connect returns an in-process connection, closed when the test ends.
func (s *Server) Connect(opts ...nats.Option) *nats.Conn {
	s.t.Helper()
	nc, err := nats.Connect("", append([]nats.Option{nats.InProcessServer(s)}, opts...)...)
	if err != nil {
		s.t.Fatalf("couldn't connect to the nats-server: %v", err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}
