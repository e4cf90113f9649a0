package delivery

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// answerBytes is how much one answer may take on the wire: its headers, the part of
// its body that is read, the bytes a receiver sends before it learns that no more is
// wanted, and the framing. A connection has the same allowance for its handshake and
// for whatever comes between answers.
const answerBytes = 512 << 10

// errFlood ends a connection whose receiver sends data without end that is no answer,
// such as empty frames. Each frame costs time, and HTTP/2 does not limit some kinds.
var errFlood = errors.New("the receiver sends more than answers")

// conn is a connection to a receiver. Its Read bounds the incoming bytes. Its Write
// hides that the receiver has closed: the bytes it sent before closing are still to be
// read, and may well be the answer, early and final. If it sent nothing, reading
// reports the end.
type conn struct {
	net.Conn
	lost atomic.Bool // the receiver takes no more

	// ended is called once, when a connection that was written to ends. It says
	// whether the receiver sent anything.
	ended        func(heard bool)
	once         sync.Once
	wrote, heard atomic.Bool

	mu   sync.Mutex // guards what follows
	open int        // answers still awaited
	left int        // bytes that may still come in
}

func (d *dialer) newConn(c net.Conn, to netip.AddrPort) *conn {
	return &conn{Conn: c, left: answerBytes, ended: func(heard bool) { d.silent.note(to, heard) }}
}

// connOf returns the connection below the one that a transport reports.
func connOf(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	ours, _ := c.(*conn)
	return ours
}

// begin lets one more answer come in. The handshake is over.
func (c *conn) begin() {
	_ = c.SetDeadline(time.Time{})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open++
	c.left += answerBytes
}

// end takes back the bytes that an answer did not use.
func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	c.left = min(c.left, (c.open+1)*answerBytes)
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(true)
	}
	c.mu.Lock()
	c.left -= n
	flood := c.left < 0
	c.mu.Unlock()
	if flood {
		c.Conn.Close()
		return 0, errFlood
	}
	return n, err
}

func (c *conn) Close() error {
	if c.wrote.Load() {
		c.once.Do(func() { c.ended(c.heard.Load()) })
	}
	return c.Conn.Close()
}

func (c *conn) Write(b []byte) (int, error) {
	c.wrote.Store(true)
	if c.lost.Load() {
		return len(b), nil
	}
	n, err := c.Conn.Write(b)
	// Closed here means that a reader has seen the end, and closed.
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) {
		c.lost.Store(true)
		return len(b), nil
	}
	return n, err
}
