package delivery

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// answerBytes is what one answer may take on the wire: its headers, the part of
// its body that is read, what a receiver sends before it learns that no more is
// wanted, and the framing. A connection has as much for its handshake, and for
// what comes between answers.
const answerBytes = 512 << 10

// errFlood ends a connection whose receiver sends without end what is no answer,
// such as empty frames. Each of them costs time, and HTTP/2 has no limit for some.
var errFlood = errors.New("the receiver sends more than answers")

// conn is a connection to a receiver. Its Read bounds what comes in. Its Write
// hides that the receiver has closed: what the receiver said before it closed
// is still to be read, and may well be the answer, early and final. When nothing
// was said, reading tells of the end.
type conn struct {
	net.Conn
	lost atomic.Bool // the receiver takes no more

	mu   sync.Mutex // guards what follows
	open int        // answers that are awaited
	left int        // bytes that may still come
}

func newConn(c net.Conn) *conn { return &conn{Conn: c, left: answerBytes} }

// connOf returns the connection below what a transport says it got.
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

// end takes back what an answer did not use.
func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	c.left = min(c.left, (c.open+1)*answerBytes)
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
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

func (c *conn) Write(b []byte) (int, error) {
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
