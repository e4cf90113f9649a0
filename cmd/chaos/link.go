package main

import (
	"net"
	"sync"
)

// link is a TCP proxy on loopback: what connects to its address reaches the
// target, as long as nobody interferes.
type link struct {
	listener net.Listener
	target   string

	mu    sync.Mutex // guards what follows
	conns map[net.Conn]struct{}
	cut   bool
	held  chan struct{} // closed when data may flow
}

func newLink(addr, target string) (*link, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	k := &link{listener: l, target: target, conns: map[net.Conn]struct{}{}, held: make(chan struct{})}
	close(k.held)
	go k.serve()
	return k, nil
}

// Cut breaks all connections, and new ones as they come, until [link.Mend].
func (k *link) Cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut = true
	for c := range k.conns {
		c.Close()
	}
}

// Stall holds back all data, until [link.Mend]. Connections stay, and new ones
// are accepted.
func (k *link) Stall() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held = make(chan struct{})
}

// Mend lets connections and data through again, those held back included.
func (k *link) Mend() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut = false
	select {
	case <-k.held:
	default:
		close(k.held)
	}
}

// Close ends the proxy and its connections.
func (k *link) Close() {
	k.listener.Close()
	k.Cut()
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.held:
	default:
		close(k.held)
	}
}

func (k *link) serve() {
	for {
		c, err := k.listener.Accept()
		if err != nil {
			return
		}
		go k.connect(c)
	}
}

func (k *link) connect(from net.Conn) {
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
	// When one side ends, so does the other.
	done := make(chan struct{}, 2)
	go func() { k.copy(to, from); done <- struct{}{} }()
	go func() { k.copy(from, to); done <- struct{}{} }()
	<-done
}

func (k *link) copy(to, from net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		k.mu.Lock()
		held := k.held
		k.mu.Unlock()
		<-held
		if _, e := to.Write(buffer[:n]); e != nil || err != nil {
			return
		}
	}
}

// add notes a connection, unless the link is cut.
func (k *link) add(c net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cut {
		return false
	}
	k.conns[c] = struct{}{}
	return true
}

func (k *link) remove(c net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.conns, c)
}
