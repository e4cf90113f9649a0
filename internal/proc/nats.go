package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// NATSServer is the configuration of one nats-server of a cluster.
type NATSServer struct {
	Name    string
	Client  string   // host:port for clients
	Monitor string   // host:port of its monitoring page
	Cluster string   // host:port for the other servers
	Routes  []string // host:port of every server of the cluster, itself included
	Store   string   // the folder of its data

	// Advertise is the address that the server gives the others for itself; empty
	// means Cluster. If it is set, clients are told of no other server either, so
	// that everybody uses Routes and their own URLs.
	Advertise string
}

// Config returns the configuration file.
func (s NATSServer) Config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "server_name: %s\n", s.Name)
	fmt.Fprintf(&b, "listen: %s\n", s.Client)
	fmt.Fprintf(&b, "http: %s\n", s.Monitor)
	b.WriteString("max_payload: 8MB\n\n")
	b.WriteString("jetstream {\n")
	fmt.Fprintf(&b, "  store_dir: %q\n", s.Store)
	b.WriteString("  sync_interval: always\n}\n\n")
	b.WriteString("cluster {\n  name: belfry\n")
	fmt.Fprintf(&b, "  listen: %s\n", s.Cluster)
	if s.Advertise != "" {
		fmt.Fprintf(&b, "  advertise: %s\n  no_advertise: true\n", s.Advertise)
	}
	b.WriteString("  routes: [\n")
	for _, r := range s.Routes {
		fmt.Fprintf(&b, "    nats://%s\n", r)
	}
	b.WriteString("  ]\n}\n")
	return b.String()
}

// NATSCluster plans n servers of one cluster on free ports, named n1, n2, …,
// with their data below dir.
func NATSCluster(n int, dir string) ([]NATSServer, error) {
	addrs, err := FreeAddrs(3 * n)
	if err != nil {
		return nil, err
	}
	servers := make([]NATSServer, n)
	for i := range servers {
		name := fmt.Sprintf("n%d", i+1)
		servers[i] = NATSServer{
			Name: name, Client: addrs[i], Monitor: addrs[n+i], Cluster: addrs[2*n+i],
			Routes: addrs[2*n : 3*n], Store: filepath.Join(dir, name),
		}
	}
	return servers, nil
}

// Process writes the configuration file into dir and returns the process that runs
// with it. The process is up when it has a place in the cluster and its streams are
// current.
func (s NATSServer) Process(binary, dir string) (*Process, error) {
	file := filepath.Join(dir, s.Name+".conf")
	if err := os.WriteFile(file, []byte(s.Config()), 0o600); err != nil {
		return nil, err
	}
	return &Process{
		Name: "nats-server " + s.Name,
		Path: binary,
		Args: []string{"-c", file},
		Log:  filepath.Join(dir, s.Name+".log"),
		Up:   "http://" + s.Monitor + "/healthz",
	}, nil
}

// Belfry returns the process of a belfry whose API listens on addr, with its log in
// dir. The process is up when it stores and fires jobs.
func Belfry(name, binary, addr, dir string, args ...string) *Process {
	return &Process{
		Name: "belfry " + name,
		Path: binary,
		Args: append([]string{"serve", "--listen", addr}, args...),
		Log:  filepath.Join(dir, name+".log"),
		Up:   "http://" + addr + "/readyz",
	}
}
