package natsdial

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pair returns a watched connection that is being read, how often it fell
// silent, and its other end. The channel gets the error that ends the reading.
func pair(t *testing.T) (c *conn, fell *atomic.Int32, other net.Conn, ended chan error) {
	t.Helper()
	here, there := net.Pipe()
	fell, ended = new(atomic.Int32), make(chan error, 1)
	c = watch(here, func() { fell.Add(1) })
	t.Cleanup(func() { c.Close(); there.Close() })
	go func() {
		_, err := io.Copy(io.Discard, c)
		ended <- err
	}()
	return c, fell, there, ended
}

func TestSilenceClosesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, fell, _, ended := pair(t)
		began := time.Now()
		if err := <-ended; !errors.Is(err, errSilent) {
			t.Errorf("reading from a silent connection ended with %v, want %v", err, errSilent)
		}
		if after := time.Since(began); after != Limit {
			t.Errorf("it was closed after %v, want %v", after, Limit)
		}
		if n := fell.Load(); n != 1 {
			t.Errorf("it fell silent %d times, want once", n)
		}
	})
}

// A write that nobody takes ends when the connection is closed.
func TestSilenceEndsAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _, _ := pair(t)
		if n, err := c.Write(make([]byte, 3*piece)); n != 0 || !errors.Is(err, errSilent) {
			t.Errorf("a write that nobody takes: %d bytes, %v; want none, %v", n, err, errSilent)
		}
	})
}

// Signs of life keep the connection, however sparse, and silence after them ends it.
func TestSignsOfLife(t *testing.T) {
	const rare = Limit - tick
	for name, act := range map[string]func(c *conn, other net.Conn) error{
		"a byte now and then": func(_ *conn, other net.Conn) error {
			for range 10 {
				time.Sleep(rare)
				if _, err := other.Write([]byte("+")); err != nil {
					return err
				}
			}
			return nil
		},
		"a large write that is taken slowly": func(c *conn, other net.Conn) error {
			go func() {
				buffer := make([]byte, piece)
				for range 10 {
					time.Sleep(rare)
					_, _ = io.ReadFull(other, buffer) // the write says it
				}
			}()
			_, err := c.Write(make([]byte, 10*piece))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, fell, other, ended := pair(t)
				if err := act(c, other); err != nil {
					t.Errorf("the connection ended: %v", err)
				}
				if fell.Load() != 0 {
					t.Error("it fell silent")
				}
				if err := <-ended; !errors.Is(err, errSilent) {
					t.Errorf("the silence behind it ended the reading with %v, want %v", err, errSilent)
				}
			})
		})
	}
}

// Nobody reads while earlier data is being worked on, and that is not silence of the
// other side.
func TestWhatIsNotReadIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		var fell atomic.Bool
		c := watch(here, func() { fell.Store(true) })
		defer there.Close()
		time.Sleep(10 * Limit)
		if fell.Load() {
			t.Error("a connection that nobody reads fell silent")
		}
		go func() { _, _ = there.Write([]byte("+")) }()
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Errorf("reading at last: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		time.Sleep(10 * Limit) // a closed one is not judged
		if fell.Load() {
			t.Error("a closed connection fell silent")
		}
	})
}

// The other machine takes pings while its server is gone.
func TestPingsThatAreTakenAreNoSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, other, ended := pair(t)
		began := time.Now()
		go func() { _, _ = io.Copy(io.Discard, other) }()
		go func() {
			for err := error(nil); err == nil; _, err = c.Write([]byte("PING\r\n")) {
				time.Sleep(tick) // so that it meets the moments when the connection is judged
			}
		}()
		if err := <-ended; !errors.Is(err, errSilent) || time.Since(began) != Limit {
			t.Errorf("the reading ended with %v after %v, want %v after %v", err, time.Since(began), errSilent, Limit)
		}
		time.Sleep(2 * tick) // the last ping fails
	})
}
