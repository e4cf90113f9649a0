package natsdial

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// errSilent is why a silent connection was closed.
var errSilent = fmt.Errorf("the server was silent for %v", Limit)

// conn is a connection that closes itself when the other side falls silent.
type conn struct {
	net.Conn
	fell func() // called once when it fell silent

	got, sent atomic.Uint64 // bytes read and written so far
	reading   atomic.Bool   // a Read is under way
	write     atomic.Uint64 // the number of the Write under way, 0 for none
	writes    atomic.Uint64 // how many there were
	silent    atomic.Bool

	mu     sync.Mutex // guards what follows
	closed bool
	timer  *time.Timer
	last   signs
	empty  int // ticks in a row without a sign of life
}

// signs are the facts that show that the other side is alive.
type signs struct {
	got   uint64
	acked uint64 // bytes that the other machine has acknowledged
	write uint64 // the number of the Write that was under way
}

func watch(c net.Conn, fell func()) *conn {
	w := &conn{Conn: c, fell: fell}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(tick, w.judge)
	return w
}

func (c *conn) Read(p []byte) (int, error) {
	c.reading.Store(true)
	n, err := c.Conn.Read(p)
	c.reading.Store(false)
	c.got.Add(uint64(n))
	return n, c.why(err)
}

// piece is how much is written at once, so that a large write on a slow line shows
// progress while it is under way.
const piece = 64 << 10

func (c *conn) Write(p []byte) (n int, err error) {
	c.write.Store(c.writes.Add(1))
	defer c.write.Store(0)
	for first := true; first || err == nil && n < len(p); first = false {
		var m int
		m, err = c.Conn.Write(p[n:min(n+piece, len(p))])
		n += m
		c.sent.Add(uint64(m))
	}
	return n, c.why(err)
}

// why returns the silence as the reason if the connection itself only knows that it
// is closed.
func (c *conn) why(err error) error {
	if err != nil && c.silent.Load() {
		return errSilent
	}
	return err
}

func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.timer.Stop()
	c.mu.Unlock()
	return c.Conn.Close()
}

// judge counts one tick, and closes the connection if it was silent for too long.
func (c *conn) judge() {
	if !c.quiet() {
		return
	}
	c.silent.Store(true)
	c.fell()
	_ = c.Close() // the reader gets the reason
}

// quiet counts one tick and reports whether it was one too many.
func (c *conn) quiet() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if c.alive() {
		c.empty = 0
	} else if c.empty++; c.empty >= silentTicks {
		return true
	}
	c.timer.Reset(tick)
	return false
}

// inFlight is how many bytes must be on their way for acknowledgements to count: the
// other machine's kernel accepts pings, and that is no sign of the server.
const inFlight = 64 << 10

// alive reports whether there was a sign of life since the last tick. c.mu must be
// held.
func (c *conn) alive() bool {
	sent, queued := c.sent.Load(), sendQueue(c.Conn)
	now := signs{got: c.got.Load(), acked: sent - min(queued, sent), write: c.write.Load()}
	before := c.last
	c.last = now
	switch {
	case now.got != before.got:
		return true
	case !c.reading.Load(): // what has come is still being worked on
		return true
	case now.acked == before.acked:
		return false
	default:
		// Much is on its way. A write counts only if the last tick already saw it:
		// short writes, such as pings, end whether the server is there or not.
		return queued >= inFlight || now.write != 0 && now.write == before.write
	}
}
