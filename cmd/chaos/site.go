package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"belfry/internal/proc"
	"belfry/internal/tcplink"
)

// site is a running installation: belfry nodes and, in a cluster, the
// nats-servers that they share, with links between them that can be cut.
type site struct {
	dir     string
	nodes   []*proc.Process
	apis    []string // the URLs of the nodes
	servers []*proc.Process
	natsURL string  // for clients, past all links
	disks   []*disk // the disks of the servers, or of the node with an embedded one; empty when no disk is filled

	toNATS [][]*tcplink.Link // from each node to each server
	routes [][]*tcplink.Link // from each server to each other; nil to itself
}

// binaries are the programs that a site is made of.
type binaries struct {
	belfry     string
	natsServer string
}

// upWithin is how long a process may take to be ready; a cluster needs an election
// first.
const upWithin = time.Minute

// startSite starts the installation and returns when it is ready. Its data is in dir.
func startSite(ctx context.Context, s setting, bin binaries, dir string) (_ *site, err error) {
	addrs, err := proc.FreeAddrs(s.nodes)
	if err != nil {
		return nil, err
	}
	t := &site{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.stop())
		}
	}()
	stores, err := t.newStores(ctx, s)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		t.apis = append(t.apis, "http://"+a)
	}
	if s.servers == 0 {
		err = t.embed(bin, addrs[0], stores[0])
	} else {
		err = t.cluster(ctx, s, bin, addrs, stores)
	}
	if err != nil {
		return nil, err
	}
	return t, t.start(ctx, t.nodes)
}

// newStores returns folders for the data of the servers, or of the embedded one, each on
// a disk of its own if a disk is to be filled.
func (t *site) newStores(ctx context.Context, s setting) ([]string, error) {
	var stores []string
	for i := range max(s.servers, 1) {
		dir := filepath.Join(t.dir, fmt.Sprintf("store%d", i+1))
		stores = append(stores, filepath.Join(dir, "data"))
		if !slices.Contains(s.kinds, fillDisk) {
			continue
		}
		d, err := newDisk(ctx, dir+".img", dir)
		if err != nil {
			return nil, err
		}
		t.disks = append(t.disks, d)
	}
	return stores, nil
}

func (t *site) embed(bin binaries, addr, store string) error {
	addrs, err := proc.FreeAddrs(1)
	if err != nil {
		return err
	}
	t.natsURL = "nats://" + addrs[0]
	t.nodes = []*proc.Process{proc.Belfry("b1", bin.belfry, addr, t.dir,
		"--data", store, "--nats-listen", addrs[0])}
	return nil
}

func (t *site) cluster(ctx context.Context, s setting, bin binaries, apis, stores []string) error {
	servers, err := proc.NATSCluster(s.servers, t.dir)
	if err != nil {
		return err
	}
	links, err := proc.FreeAddrs(s.servers * (s.servers + s.nodes))
	if err != nil {
		return err
	}
	connect := func(target string) (*tcplink.Link, error) {
		k, err := tcplink.New(links[0], target)
		links = links[1:]
		return k, err
	}
	var urls []string
	for i, from := range servers {
		row := make([]*tcplink.Link, s.servers)
		from.Routes, from.Store = nil, stores[i]
		from.Advertise = "127.0.0.1:1" // nobody listens there: the address that others learn leads nowhere
		for j, to := range servers {
			if i == j { // it also counts its own, for the size of the cluster
				from.Routes = append(from.Routes, from.Cluster)
				continue
			}
			if row[j], err = connect(to.Cluster); err != nil {
				return err
			}
			from.Routes = append(from.Routes, row[j].Addr())
		}
		t.routes = append(t.routes, row)
		p, err := from.Process(bin.natsServer, t.dir)
		if err != nil {
			return err
		}
		t.servers = append(t.servers, p)
		urls = append(urls, "nats://"+from.Client)
	}
	t.natsURL = strings.Join(urls, ",")
	for i, api := range apis {
		var row []*tcplink.Link
		var to []string
		for _, server := range servers {
			k, err := connect(server.Client)
			if err != nil {
				return err
			}
			row = append(row, k)
			to = append(to, "nats://"+k.Addr())
		}
		t.toNATS = append(t.toNATS, row)
		t.nodes = append(t.nodes, proc.Belfry(fmt.Sprintf("b%d", i+1), bin.belfry, api, t.dir,
			"--nats-url", strings.Join(to, ","), "--replicas", "3", "--partitions", "8"))
	}
	return t.start(ctx, t.servers)
}

// start starts processes and returns when all are up.
func (t *site) start(ctx context.Context, all []*proc.Process) error {
	for _, p := range all {
		if err := p.Start(); err != nil {
			return err
		}
	}
	return t.waitUp(ctx, all)
}

func (t *site) waitUp(ctx context.Context, all []*proc.Process) error {
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	for _, p := range all {
		if err := p.WaitUp(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stop ends everything: the nodes first, all at once.
func (t *site) stop() error {
	var mu sync.Mutex
	var errs []error
	for _, group := range [][]*proc.Process{t.nodes, t.servers} {
		var wait sync.WaitGroup
		for _, p := range group {
			wait.Go(func() {
				err := p.Stop()
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			})
		}
		wait.Wait()
	}
	for _, rows := range [][][]*tcplink.Link{t.toNATS, t.routes} {
		for _, row := range rows {
			for _, k := range row {
				if k != nil {
					k.Close()
				}
			}
		}
	}
	for _, d := range t.disks {
		errs = append(errs, d.close())
	}
	return errors.Join(errs...)
}

// panics returns the panics and data races that the logs of the nodes report.
func (t *site) panics() []string {
	var found []string
	for _, p := range t.nodes {
		log, err := os.ReadFile(p.Log)
		if err != nil {
			found = append(found, err.Error())
		}
		for _, bad := range []string{"DATA RACE", "panic: ", "fatal error: "} {
			if _, text, is := strings.Cut(string(log), bad); is {
				found = append(found, fmt.Sprintf("%s has in its log: %s%.4096s", p.Name, bad, text))
			}
		}
	}
	return found
}
