package main

import (
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections a test makes, in virtual time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A request that never ends, because its header trickles, does not keep a spare
// connection while others need one.
func TestSlowHeadersGiveWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const most = 1
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		c := limitConnections(l, most)
		var accepted sync.WaitGroup
		var conns []net.Conn
		arrive := func() {
			ours, theirs := net.Pipe()
			conns = append(conns, ours)
			accepted.Go(func() {
				g, err := c.Accept()
				if err != nil {
					return
				}
				c.stateOf(g, http.StateActive) // its first byte has come
			})
			l.conns <- theirs
			synctest.Wait()
		}
		for range most + spareConnections {
			arrive()
		}
		begun := time.Now()
		arrive() // one more than there is room for
		accepted.Wait()
		if took := time.Since(begun); took > spareTime+unusedTime {
			t.Errorf("the next connection was taken after %v, want %v", took, spareTime)
		}
		c.mu.Lock()
		if n := len(c.all); n != most+spareConnections || !c.all[0].has {
			t.Errorf("%d connections, want %d and the one that has its turn among them", n, most+spareConnections)
		}
		c.mu.Unlock()
		_ = c.Close()
		for _, conn := range conns {
			conn.Close()
		}
	})
}
