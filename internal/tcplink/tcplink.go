// Package tcplink is a TCP proxy on loopback between two processes. It can be cut,
// stalled and silenced, for tests of how the processes cope.
package tcplink

import (
	"net"
	"sync"
)

// Link is a proxy: what connects to its address reaches the target, as long as
// nobody interferes.
type Link struct {
	listener net.Listener
	target   string

	mu     sync.Mutex // guards what follows
	conns  map[net.Conn]struct{}
	cut    bool
	held   chan struct{} // closed when data may flow
	silent bool
	lost   map[net.Conn]struct{} // those of conns that have lost data, or whose peer has
}

// New listens on addr and passes on to target.
func New(addr, target string) (*Link, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	k := &Link{listener: l, target: target, conns: map[net.Conn]struct{}{}, lost: map[net.Conn]struct{}{}, held: make(chan struct{})}
	close(k.held)
	go k.serve()
	return k, nil
}

// Addr returns where the link listens, as host:port.
func (k *Link) Addr() string { return k.listener.Addr().String() }

// Cut breaks all connections, and new ones as they come, until [Link.Mend].
func (k *Link) Cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut = true
	for c := range k.conns {
		c.Close()
	}
}

// Stall holds back all data, until [Link.Mend]. Connections stay, and new ones
// are accepted.
func (k *Link) Stall() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held = make(chan struct{})
}

// Silence drops all data in both directions and closes nothing, until
// [Link.Mend], as when the target's machine has lost its power. New connections
// are accepted and stay silent as well; when one side ends its connection, the
// other is not told. After Mend the connections of the silent time are reset by
// the first data that somebody sends on them, as a machine that is back resets
// what it does not know.
func (k *Link) Silence() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.silent = true
	for c := range k.conns {
		k.lost[c] = struct{}{}
	}
}

// Mend lets connections and data through again, those held back included.
func (k *Link) Mend() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut, k.silent = false, false
	k.flow()
}

func (k *Link) flow() {
	select {
	case <-k.held:
	default:
		close(k.held)
	}
}

// Close ends the proxy and its connections.
func (k *Link) Close() {
	k.listener.Close()
	k.Cut()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.flow()
}

// Open returns how many connections pass through the link, the silent ones
// included.
func (k *Link) Open() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.conns) / 2
}

func (k *Link) serve() {
	for {
		c, err := k.listener.Accept()
		if err != nil {
			return
		}
		go k.connect(c)
	}
}

func (k *Link) connect(from net.Conn) {
	defer from.Close()
	if !k.add(from) {
		return
	}
	defer k.remove(from)
	to, err := net.Dial("tcp", k.target)
	if err != nil {
		return
	}
	defer to.Close()
	if !k.add(to) {
		return
	}
	defer k.remove(to)
	// When one side ends, so does the other, unless the link is silent.
	done := make(chan struct{}, 2)
	go func() { k.copy(to, from); done <- struct{}{} }()
	go func() { k.copy(from, to); done <- struct{}{} }()
	<-done
	if k.isLost(from) {
		<-done
	}
}

func (k *Link) copy(to, from net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		k.mu.Lock()
		held := k.held
		k.mu.Unlock()
		<-held
		silent, reset := k.dropped(from)
		switch {
		case silent && err == nil:
			continue
		case reset:
			to.Close() // so that the other direction ends, too
			return
		}
		if silent {
			return
		}
		if _, e := to.Write(buffer[:n]); e != nil || err != nil {
			return
		}
	}
}

// dropped reports how the connection treats data. While the link is silent, data is
// lost. Afterwards, data resets a connection from the silent time.
func (k *Link) dropped(c net.Conn) (silent, reset bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, lost := k.lost[c]
	return k.silent, lost && !k.silent
}

func (k *Link) isLost(c net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, lost := k.lost[c]
	return lost
}

// add notes a connection, unless the link is cut.
func (k *Link) add(c net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cut {
		return false
	}
	k.conns[c] = struct{}{}
	if k.silent {
		k.lost[c] = struct{}{}
	}
	return true
}

func (k *Link) remove(c net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.conns, c)
	delete(k.lost, c)
}
