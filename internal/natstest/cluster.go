package natstest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"belfry/internal/waittest"
)

// Cluster plans servers of one cluster, which do not tell clients of each other.
// Each is started by [Cluster.Start].
type Cluster struct {
	t     testing.TB
	files []string // their configurations
}

// NewCluster plans n servers, none of which runs yet. They know of the first
// core of them, which must run before the cluster elects a leader; the others join
// it.
func NewCluster(t testing.TB, n, core int) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	var routes string
	var ports []int
	for i := range n {
		port := freePort(t)
		ports = append(ports, port)
		if i >= core {
			continue
		}
		routes += fmt.Sprintf(", nats://127.0.0.1:%d", port)
	}
	for i, port := range ports {
		dir := t.TempDir()
		file := filepath.Join(dir, "nats.conf")
		text := fmt.Sprintf("server_name: n%d\nlisten: 127.0.0.1:%d\njetstream { store_dir: %q }\n"+
			"cluster { name: test, listen: 127.0.0.1:%d, no_advertise: true, routes: [%s] }\n", i+1, freePort(t), dir, port, routes[2:])
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.files = append(c.files, file)
	}
	return c
}

// Start runs those servers, counted from 0, until the test ends.
func (c *Cluster) Start(which ...int) (all []*Server) {
	c.t.Helper()
	for _, i := range which {
		all = append(all, c.begin(i))
	}
	for _, s := range all {
		if !s.ReadyForConnections(waittest.Patience) {
			c.t.Fatalf("a nats-server is not ready after %v", waittest.Patience)
		}
	}
	return all
}

func (c *Cluster) begin(i int) *Server {
	c.t.Helper()
	opts, err := server.ProcessConfigFile(c.files[i])
	if err != nil {
		c.t.Fatal(err)
	}
	opts.NoSigs, opts.NoLog = true, true
	ns, err := server.NewServer(opts)
	if err != nil {
		c.t.Fatalf("couldn't make a nats-server: %v", err)
	}
	go ns.Start() // does not return before it reaches another server
	s := &Server{Server: ns, t: c.t, opts: opts}
	c.t.Cleanup(s.Stop)
	return s
}
