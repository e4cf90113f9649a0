package tcplink

import (
	"bufio"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// echo answers each line with the same, on a free port.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				lines := bufio.NewReader(c)
				for {
					line, err := lines.ReadBytes('\n')
					if err != nil {
						return
					}
					_, _ = c.Write(line) // the other side may have gone
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestLink(t *testing.T) {
	t.Parallel()
	k, err := New("127.0.0.1:0", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	connect := func() (net.Conn, *bufio.Reader) {
		t.Helper()
		c, err := net.Dial("tcp", k.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c, bufio.NewReader(c)
	}
	answers := func(c net.Conn, r *bufio.Reader, within time.Duration) bool {
		t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(within))
		_, err := r.ReadString('\n')
		return err == nil
	}
	say := func(c net.Conn) { _, _ = c.Write([]byte("hello\n")) } // the answer tells
	const long, short = 10 * time.Second, 50 * time.Millisecond

	c, r := connect()
	if say(c); !answers(c, r, long) {
		t.Fatal("no answer through an open link")
	}
	k.Stall()
	if say(c); answers(c, r, short) {
		t.Error("an answer through a stalled link")
	}
	if k.Mend(); !answers(c, r, long) {
		t.Error("what a stalled link held back did not come after it was mended")
	}
	k.Cut()
	if say(c); answers(c, r, long) {
		t.Error("an answer through a cut link")
	}
	c, r = connect()
	if say(c); answers(c, r, long) {
		t.Error("an answer through a new connection of a cut link")
	}
	k.Mend()
	c, r = connect()
	if say(c); !answers(c, r, long) {
		t.Error("no answer through a mended link")
	}

	k.Silence()
	if say(c); answers(c, r, short) {
		t.Error("an answer through a silent link")
	}
	fresh, freshReader := connect()
	if say(fresh); answers(fresh, freshReader, short) {
		t.Error("an answer through a new connection of a silent link")
	}
	for name, silent := range map[string]net.Conn{"old": c, "new": fresh} {
		if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading from the %s connection of a silent link: %v, want no end of it", name, err)
		}
	}
	k.Mend()
	c, r = connect()
	if say(c); !answers(c, r, long) {
		t.Error("no answer through a link that was silent")
	}
	_ = fresh.SetReadDeadline(time.Now().Add(long))
	say(fresh)
	if _, err := freshReader.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection that lost data goes on after the link was mended (%v), want it reset", err)
	}
}
