package delivery

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"belfry/internal/job"
)

const (
	// dialStagger is how long one address of a name has before the next one is called
	// in parallel; see RFC 8305, section 5.
	dialStagger = 250 * time.Millisecond

	// maxAddresses bounds the sockets of one dial.
	maxAddresses = 32
)

// dialer connects to receivers. It calls all addresses of a name within the time
// of the try that asks, so that a dead one costs a moment and not the try. Each
// address is judged by the guard before it is called.
type dialer struct {
	resolver *net.Resolver // nil is the system's
	guard    guard
	silent   silent
}

// tryEnd is the key of the end of the try for which a connection is dialed. A
// transport hides the deadline of the request from its dialer, since a later
// request may use the connection, but not the values of the context.
type tryEnd struct{}

// withTryEnd returns the context with the end of its try for the dialer to see.
func withTryEnd(ctx context.Context) context.Context {
	end, _ := ctx.Deadline()
	return context.WithValue(ctx, tryEnd{}, end)
}

// DialContext implements [net/http.Transport.DialContext].
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	end, ok := ctx.Value(tryEnd{}).(time.Time)
	if !ok {
		end = time.Now().Add(job.MaxTimeout)
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	found, err := d.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	number, err := net.DefaultResolver.LookupPort(ctx, network, port)
	if err != nil {
		return nil, err
	}
	addrs := make([]netip.AddrPort, len(found))
	for i, a := range found {
		addrs[i] = netip.AddrPortFrom(a, uint16(number))
	}
	d.silent.last(addrs)
	// The starts share half of the time, so that the last address has the rest.
	stagger := min(dialStagger, time.Until(end)/time.Duration(2*len(addrs)))
	c, err := d.race(ctx, network, addrs, stagger)
	if err != nil {
		return nil, err
	}
	// A handshake that is never answered ends with the try.
	_ = c.conn.SetDeadline(end)
	return d.newConn(c.conn, c.to), nil
}

// lookup returns the addresses of a host, alternating between the families.
func (d *dialer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	resolver := d.resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	found, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	return inTurns(found), nil
}

// inTurns keeps the order within each family and begins with the first one's. If a
// machine cannot reach one family, it soon tries the other.
func inTurns(found []netip.Addr) []netip.Addr {
	var same, other, all []netip.Addr
	for _, a := range found {
		if a = a.Unmap(); a.Is4() == found[0].Unmap().Is4() {
			same = append(same, a)
		} else {
			other = append(other, a)
		}
	}
	for len(all) < maxAddresses && len(same)+len(other) > 0 {
		if len(same) > 0 {
			all, same = append(all, same[0]), same[1:]
		}
		if len(other) > 0 {
			all, other = append(all, other[0]), other[1:]
		}
	}
	return all
}

// dialed is the result of calling one address.
type dialed struct {
	at   int
	to   netip.AddrPort
	conn net.Conn
	err  error
}

// race calls the addresses one after the other, each when the one before has
// failed or has not answered for a while, and returns the first connection.
func (d *dialer) race(ctx context.Context, network string, addrs []netip.AddrPort, stagger time.Duration) (dialed, error) {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan dialed, len(addrs))
	errs := make([]error, len(addrs))
	next, pending := 0, 0
	start := func() {
		at := next
		next++
		pending++
		go func() {
			c, err := d.call(ctx, network, addrs[at].String())
			results <- dialed{at, addrs[at], c, err}
		}()
	}
	defer func() {
		cancel()
		go func(late int) { // closes connections that came too late
			for range late {
				if r := <-results; r.conn != nil {
					r.conn.Close()
				}
			}
		}(pending)
	}()
	for pending > 0 || next < len(addrs) {
		if pending == 0 {
			start()
		}
		var more <-chan time.Time
		if next < len(addrs) {
			more = time.After(stagger)
		}
		select {
		case r := <-results:
			pending--
			if r.err == nil {
				for i := range r.at {
					if errs[i] == nil {
						d.silent.note(addrs[i], false) // it had its turn, and has not answered yet
					}
				}
				return r, nil
			}
			errs[r.at] = r.err
			if next < len(addrs) && ctx.Err() == nil {
				start()
			}
		case <-more:
			start()
		}
		if ctx.Err() != nil && pending == 0 {
			break
		}
	}
	return dialed{}, firstOf(errs)
}

// firstOf returns the first address's error. A failure of this machine comes before
// all others, since it says nothing about the receiver.
func firstOf(errs []error) error {
	var first error
	for _, err := range errs {
		if _, ours := shortageIn(err); ours {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// call connects to one address.
func (d *dialer) call(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{ControlContext: d.guard.control}).DialContext(ctx, network, address)
	if errors.Is(err, syscall.EADDRNOTAVAIL) && !hasSource(ctx, address) {
		return nil, errNoSource
	}
	return c, err
}

// errNoSource means that this machine has no address from which it could call another,
// such as a machine without IPv6. The system reports EADDRNOTAVAIL, as it does for a
// lack of ports, but this condition does not pass.
var errNoSource = errors.New("this machine has no address to call it from")

// hasSource reports whether this machine has an address to call another from. A
// UDP socket takes one without sending anything, and has ports of its own.
func hasSource(ctx context.Context, address string) bool {
	c, err := (&net.Dialer{}).DialContext(ctx, "udp", address)
	if err != nil {
		return !errors.Is(err, syscall.EADDRNOTAVAIL)
	}
	c.Close()
	return true
}
