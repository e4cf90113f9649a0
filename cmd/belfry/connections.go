package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"belfry/api"
)

// spareConnections are allowed beyond --max-connections. A request comes in on them, so
// that a probe can be told from others, and answered. Other requests wait there for a
// turn.
const (
	spareConnections = 64
	turnPatience     = api.TurnPatience
	// unusedTime is how long a connection may be without a request before it counts
	// as idle: its client may be about to send one.
	unusedTime = time.Second
	// spareTime is how long a request without a turn may take before its connection
	// gives way. A probe takes less, however slow the store is.
	spareTime = 3 * time.Second
)

// errNoTurn says that all connections are busy.
var errNoTurn = errors.New("no connection had a turn to give")

// apiConnections is a listener that bounds how many connections there are at once. When
// there are too many, one that is idle gives way. When all are busy, a request on
// another one waits until one of them is idle or closed. It is safe for concurrent
// use.
type apiConnections struct {
	net.Listener
	most int

	mu      sync.Mutex // guards the fields below, and the fields of each guest
	room    sync.Cond  // some connection was closed or became idle
	all     []*guest   // in the order in which they came
	holding int        // how many of them have a turn
	closed  bool
}

// guest is one connection.
type guest struct {
	net.Conn
	of    *apiConnections
	idle  bool      // it has no request
	since time.Time // when that became true, or when its service began
	turn  chan struct{}
	has   bool // it has its turn
	leave chan struct{}
	told  bool // it was told to leave
	waits int  // how many of its requests wait for their turn
	gone  bool
}

func limitConnections(l net.Listener, most int) *apiConnections {
	c := &apiConnections{Listener: l, most: most}
	c.room.L = &c.mu
	return c
}

// Accept returns the next connection when there is room for it.
func (c *apiConnections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g := &guest{Conn: conn, of: c, idle: true, turn: make(chan struct{}), leave: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.makeRoom(); len(c.all) >= c.most+spareConnections && !c.closed; c.makeRoom() {
		again := time.AfterFunc(unusedTime, c.room.Broadcast) // one may be idle by then
		c.room.Wait()
		again.Stop()
	}
	g.since = time.Now()
	c.all = append(c.all, g)
	c.giveTurns()
	return g, nil
}

func (c *apiConnections) Close() error {
	c.mu.Lock()
	c.closed = true
	c.room.Broadcast()
	c.mu.Unlock()
	return c.Listener.Close()
}

// makeRoom closes the connection that was idle the longest when there are too many.
// When all are busy and the spare ones are taken, it tells the one that has waited
// the longest for its turn to give up. If none waits, it closes a spare connection
// whose request takes too long. c.mu is held.
func (c *apiConnections) makeRoom() {
	if len(c.all) < c.most || c.dropIdle() || len(c.all) < c.most+spareConnections {
		return
	}
	for _, g := range c.all {
		if g.waits > 0 && !g.has && !g.told {
			g.told = true
			close(g.leave)
			return
		}
	}
	for _, g := range c.all {
		if !g.has && !g.idle && g.waits == 0 && time.Since(g.since) >= spareTime {
			c.drop(g)
			go g.Conn.Close()
			return
		}
	}
}

// dropIdle closes the connection that was idle the longest, if any is. c.mu is held.
func (c *apiConnections) dropIdle() bool {
	var oldest *guest
	for _, g := range c.all {
		if g.idle && time.Since(g.since) >= unusedTime && (oldest == nil || g.since.Before(oldest.since)) {
			oldest = g
		}
	}
	if oldest == nil {
		return false
	}
	c.drop(oldest)
	go oldest.Conn.Close()
	return true
}

// giveTurns gives turns while there are any, first come first served. c.mu is held.
func (c *apiConnections) giveTurns() {
	for _, g := range c.all {
		if c.holding >= c.most {
			return
		}
		if !g.has {
			g.has = true
			c.holding++
			close(g.turn)
		}
	}
}

// drop forgets a connection. c.mu is held.
func (c *apiConnections) drop(g *guest) {
	if g.gone {
		return
	}
	g.gone = true
	for i, other := range c.all {
		if other == g {
			c.all = append(c.all[:i], c.all[i+1:]...)
			break
		}
	}
	if g.has {
		c.holding--
	}
	c.giveTurns()
	c.room.Broadcast()
}

func (g *guest) Close() error {
	g.of.mu.Lock()
	g.of.drop(g)
	g.of.mu.Unlock()
	return g.Conn.Close()
}

// CloseWrite lets net/http close one side first.
func (g *guest) CloseWrite() error {
	if tcp, ok := g.Conn.(*net.TCPConn); ok {
		return tcp.CloseWrite()
	}
	return nil
}

// guestOf finds the guest in the connection that net/http has.
func guestOf(conn net.Conn) *guest {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = over.NetConn()
	}
	g, _ := conn.(*guest)
	return g
}

// stateOf records the state of a connection.
func (c *apiConnections) stateOf(conn net.Conn, state http.ConnState) {
	g := guestOf(conn)
	if g == nil || state != http.StateIdle && state != http.StateActive {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	g.idle, g.since = state == http.StateIdle, time.Now()
	if g.idle {
		c.room.Broadcast()
	}
}

type guestKey struct{}

func withGuest(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, guestKey{}, guestOf(conn))
}

// tellToClose has each answer say that its connection is closed while there are too
// many. A client without this notice may already be sending its next request, so such a
// connection is closed only after it was idle for a while.
func tellToClose(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g, _ := r.Context().Value(guestKey{}).(*guest); g != nil && g.of.crowded() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// crowded reports whether there are too many connections.
func (c *apiConnections) crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all) > c.most
}

// awaitTurn waits until the connection of a request has its turn.
func awaitTurn(ctx context.Context) error {
	g, _ := ctx.Value(guestKey{}).(*guest)
	if g == nil {
		return nil
	}
	c := g.of
	c.mu.Lock()
	g.waits++
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		g.waits--
		g.since = time.Now() // it may need a moment to be answered
		c.mu.Unlock()
	}()
	patience := time.NewTimer(turnPatience)
	defer patience.Stop()
	look := time.NewTicker(unusedTime / 4) // a connection that was new may be idle by now
	defer look.Stop()
	for {
		select {
		case <-g.turn:
			return nil
		case <-look.C:
			c.mu.Lock()
			if !g.has {
				c.dropIdle()
			}
			c.mu.Unlock()
			continue
		case <-g.leave:
		case <-patience.C:
		case <-ctx.Done():
		}
		return errNoTurn
	}
}
