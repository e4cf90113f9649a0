package natsdial

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

func TestSilentAddressesComeLast(t *testing.T) {
	t.Parallel()
	d := &dialer{silent: map[string]time.Time{}}
	d.fellSilent("b:1")
	d.silent["c:1"] = time.Now().Add(-time.Minute)
	first := map[string]bool{}
	for range 200 {
		got := d.order([]string{"a:1", "b:1", "c:1", "d:1"})
		if !slices.Equal(got[2:], []string{"c:1", "b:1"}) {
			t.Fatalf("the order is %v, want the silent ones last, the latest at the end", got)
		}
		first[got[0]] = true
	}
	if len(first) != 2 {
		t.Errorf("the first one was always %v, want any that was not silent", first)
	}
}

// never is a dialer that hangs, like a proxy whose machine is gone, and connects in
// the end.
type never struct{ late net.Conn }

func (n never) Dial(string, string) (net.Conn, error) {
	time.Sleep(time.Hour)
	return n.late, nil
}

func TestDialThroughIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		opts := nats.Options{CustomDialer: never{here}, Timeout: 2 * time.Second}
		for _, o := range Options() {
			if err := o(&opts); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		_, err := opts.CustomDialer.Dial("tcp", "server:4222")
		if after := time.Since(began); after != opts.Timeout || err == nil || !strings.Contains(err.Error(), "server:4222") {
			t.Errorf("Dial returned %v after %v, want an error after %v", err, after, opts.Timeout)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if _, err := there.Write([]byte("+")); !errors.Is(err, net.ErrClosed) && err == nil {
			t.Error("the connection that came too late is still open")
		}
	})
}

func TestDialByName(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	d := &dialer{timeout: 10 * time.Second, silent: map[string]time.Time{}}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		c, err := d.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("Dial %s: %v", host, err)
			continue
		}
		c.Close()
	}
	if _, err := d.Dial("tcp", "no port"); err == nil {
		t.Error("an address without a port was dialed")
	}
}
