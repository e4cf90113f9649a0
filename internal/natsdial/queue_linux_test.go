package natsdial

import (
	"io"
	"net"
	"testing"

	"belfry/internal/waittest"
)

// Data that the other side does not take is in the queue, and leaves it once it is
// taken.
func TestSendQueue(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	from, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if got := sendQueue(from); got != 0 {
		t.Errorf("%d bytes in an unused queue, want 0", got)
	}
	const all = 64 << 20 // more than any buffers take
	go func() { _, _ = from.Write(make([]byte, all)) }()
	waittest.Eventually(t, func() string {
		if sendQueue(from) < inFlight {
			return "the queue of a connection that nobody reads is not full"
		}
		return ""
	})
	if _, err := io.CopyN(io.Discard, to, all); err != nil {
		t.Fatal(err)
	}
	waittest.Eventually(t, func() string {
		if sendQueue(from) != 0 {
			return "the queue is not empty, though all was read"
		}
		return ""
	})
	if got := sendQueue(&net.UDPConn{}); got != 0 {
		t.Errorf("%d bytes in the queue of no connection, want 0", got)
	}
}
