package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"belfry/internal/proc"
)

// cluster is the three nats-servers and two nodes.
type cluster struct {
	servers []*proc.Process
	nodes   []*proc.Process
	apis    []string // the URLs of the nodes
}

func newCluster(belfry, natsServer, dir string) (*cluster, error) {
	servers, err := proc.NATSCluster(3, dir)
	if err != nil {
		return nil, err
	}
	addrs, err := proc.FreeAddrs(2)
	if err != nil {
		return nil, err
	}
	c := &cluster{}
	for _, s := range servers {
		p, err := s.Process(natsServer, dir)
		if err != nil {
			return nil, err
		}
		c.servers = append(c.servers, p)
	}
	for i, addr := range addrs {
		c.nodes = append(c.nodes, proc.Belfry(fmt.Sprintf("b%d", i+1), belfry, addr, dir, nodeArgs(servers)...))
		c.apis = append(c.apis, "http://"+addr)
	}
	return c, nil
}

// nodeArgs tell a node where its servers are.
func nodeArgs(servers []proc.NATSServer) []string {
	var urls []string
	for _, s := range servers {
		urls = append(urls, "nats://"+s.Client)
	}
	return []string{"--nats-url", strings.Join(urls, ",")}
}

// upWithin is more than a cluster takes to elect its leaders.
const upWithin = time.Minute

func (c *cluster) start(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	for _, group := range [][]*proc.Process{c.servers, c.nodes} {
		for _, p := range group {
			if err := p.Start(); err != nil {
				return err
			}
			fmt.Fprintf(out, "started %s, process %d: %s %s\n", p.Name, p.PID(), p.Path, strings.Join(p.Args, " "))
		}
		for _, p := range group {
			if err := p.WaitUp(ctx); err != nil {
				return err
			}
			fmt.Fprintf(out, "%s is up\n", p.Name)
		}
	}
	return nil
}

// stop ends the nodes, then the servers.
func (c *cluster) stop() error {
	var errs []error
	for _, p := range append(c.nodes[:len(c.nodes):len(c.nodes)], c.servers...) {
		errs = append(errs, p.Stop())
	}
	return errors.Join(errs...)
}
