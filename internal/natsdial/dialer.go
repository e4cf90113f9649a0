package natsdial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// dialer opens the connections of one client. It implements [nats.CustomDialer].
type dialer struct {
	through nats.CustomDialer // nil dials TCP
	timeout time.Duration     // of the lookup and all attempts together

	mu     sync.Mutex           // guards silent
	silent map[string]time.Time // when a server was last silent, by its address
}

// Dial connects to the address. If its host has several addresses, it takes any that
// answers. It tries those that were silent last, the most recently silent at the very
// end.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	if d.through != nil {
		return d.dialThrough(network, address)
	}
	ctx, cancel := context.WithTimeout(context.Background(), d.timeout)
	defer cancel()
	addrs, err := d.lookUp(ctx, address)
	if err != nil {
		return nil, err
	}
	var errs []error
	for i, addr := range addrs {
		share := d.timeout
		if until, ok := ctx.Deadline(); ok {
			share = time.Until(until) / time.Duration(len(addrs)-i)
		}
		c, err := (&net.Dialer{Timeout: share}).DialContext(ctx, network, addr)
		if err == nil {
			return d.watched(c, addr), nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// dialThrough bounds the time of a dialer that has no bound.
func (d *dialer) dialThrough(network, address string) (net.Conn, error) {
	type dialed struct {
		conn net.Conn
		err  error
	}
	done := make(chan dialed, 1)
	go func() {
		c, err := d.through.Dial(network, address)
		done <- dialed{c, err}
	}()
	select {
	case got := <-done:
		if got.err != nil {
			return nil, got.err
		}
		return d.watched(got.conn, address), nil
	case <-time.After(d.timeout):
		go func() {
			if late := <-done; late.err == nil {
				late.conn.Close()
			}
		}()
		return nil, fmt.Errorf("couldn't connect to %s within %v", address, d.timeout)
	}
}

// lookUp returns the addresses of the host, in the order to try them.
func (d *dialer) lookUp(ctx context.Context, address string) ([]string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if net.ParseIP(host) != nil {
		return []string{address}, nil
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, err
	}
	for i, addr := range addrs {
		addrs[i] = net.JoinHostPort(addr, port)
	}
	return d.order(addrs), nil
}

// order shuffles the addresses, and moves those that were silent to the end.
func (d *dialer) order(addrs []string) []string {
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.SortStableFunc(addrs, func(a, b string) int {
		return cmp.Compare(d.silent[a].UnixNano(), d.silent[b].UnixNano())
	})
	return addrs
}

func (d *dialer) watched(c net.Conn, addr string) net.Conn {
	return watch(c, func() { d.fellSilent(addr) })
}

func (d *dialer) fellSilent(addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.silent[addr] = time.Now()
}
