package zoo_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// identity is a certificate for 127.0.0.1, and the pool that trusts it.
var identity = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return srv.TLS.Certificates[0], pool
})

// serve hands each connection to a receiver, numbered from 1, and closes it when
// that returns. With protocols the connections are TLS.
func serve(t testing.TB, address string, protocols []string, handle func(n int, c net.Conn)) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	if protocols != nil {
		cert, _ := identity()
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: protocols})
	}
	var mu sync.Mutex
	open, closed := map[net.Conn]bool{}, false
	var all sync.WaitGroup
	all.Go(func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			if closed {
				c.Close()
			}
			mu.Unlock()
			all.Go(func() {
				defer func() {
					c.Close()
					mu.Lock()
					delete(open, c)
					mu.Unlock()
				}()
				handle(n, c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		closed = true
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return port
}

// http1 is a receiver that speaks HTTP/1.1 by hand: answer gets the number of the
// connection, and of the request on it, from 1, and reports whether the connection
// goes on. A body is read before, unless early.
func http1(early bool, answer func(conn, request int, c net.Conn, r *http.Request) (goOn bool)) func(int, net.Conn) {
	return func(n int, c net.Conn) {
		in := bufio.NewReader(c)
		for request := 1; ; request++ {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if !early {
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					return
				}
			}
			if !answer(n, request, c, r) {
				return
			}
		}
	}
}

const ok1 = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// session is a connection that speaks HTTP/2 by hand.
type session struct {
	number int
	mu     sync.Mutex // guards fr's writes
	fr     *http2.Framer
	buf    *bufio.Writer // what it writes to
	out    *counter
	ended  chan struct{}
}

// counter counts what is written.
type counter struct {
	net.Conn
	n atomic.Int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// write has f write frames, one caller at a time, and sends them together.
func (s *session) write(f func(*http2.Framer) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := f(s.fr); err != nil {
		return err
	}
	return s.buf.Flush()
}

// headers begins an answer.
func (s *session) headers(stream uint32, status int, last bool) error {
	return s.write(func(fr *http2.Framer) error {
		var block bytes.Buffer
		_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: fmt.Sprint(status)})
		return fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: last})
	})
}

// http2By is a receiver that speaks HTTP/2 by hand. It answers requests for /quiet and
// leaves the others to animal, each in its own goroutine. Requests over HTTP/1.1 are
// answered and counted.
func http2By(t testing.TB, paths *connections, over1 *atomic.Int64, settings []http2.Setting, animal func(s *session, stream uint32)) (port int) {
	return serve(t, "127.0.0.1:0", []string{"h2", "http/1.1"}, func(n int, c net.Conn) {
		if err := c.(*tls.Conn).Handshake(); err != nil {
			return
		}
		if c.(*tls.Conn).ConnectionState().NegotiatedProtocol != "h2" {
			http1(false, func(conn, _ int, c net.Conn, r *http.Request) bool {
				over1.Add(1)
				paths.saw(r.URL.Path, conn)
				_, err := io.WriteString(c, ok1)
				return err == nil
			})(n, c)
			return
		}
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		out := &counter{Conn: c}
		buf := bufio.NewWriterSize(out, 16<<10)
		s := &session{number: n, out: out, buf: buf, fr: http2.NewFramer(buf, c), ended: make(chan struct{})}
		s.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		var all sync.WaitGroup
		defer all.Wait()
		defer c.Close()
		defer close(s.ended)
		if s.write(func(fr *http2.Framer) error { return fr.WriteSettings(settings...) }) != nil {
			return
		}
		for {
			f, err := s.fr.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.SettingsFrame:
				if !f.IsAck() {
					_ = s.write(func(fr *http2.Framer) error { return fr.WriteSettingsAck() })
				}
			case *http2.PingFrame:
				if !f.IsAck() {
					_ = s.write(func(fr *http2.Framer) error { return fr.WritePing(true, f.Data) })
				}
			case *http2.MetaHeadersFrame:
				path := f.PseudoValue("path")
				paths.saw(path, n)
				if path == "/quiet" {
					_ = s.headers(f.StreamID, 200, true)
					continue
				}
				stream := f.StreamID
				all.Go(func() { animal(s, stream) })
			}
		}
	})
}

// connections keeps which connections brought requests for which path.
type connections struct {
	mu sync.Mutex
	of map[string]map[int]bool
}

func (c *connections) saw(path string, conn int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]map[int]bool{}
	}
	if c.of[path] == nil {
		c.of[path] = map[int]bool{}
	}
	c.of[path][conn] = true
}

// shared returns how many connections brought requests for both paths.
func (c *connections) shared(a, b string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.of[a] {
		if c.of[b][conn] {
			n++
		}
	}
	return n
}

// names is a name server; it answers with the IPv4 addresses, with spaces between,
// that a name has at the time.
type names struct {
	mu sync.Mutex
	of map[string]string
}

func (n *names) set(name, addrs string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of == nil {
		n.of = map[string]string{}
	}
	n.of[name+"."] = addrs
}

func (n *names) resolver(t testing.TB) *net.Resolver {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 1<<10)
		for {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(n.answer(buf[:size]), from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-ended })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp4", conn.LocalAddr().String())
	}}
}

// answer answers a query of one question, RFC 1035.
func (n *names) answer(query []byte) []byte {
	name, at := "", 12
	for query[at] != 0 {
		size := int(query[at])
		name += string(query[at+1:at+1+size]) + "."
		at += 1 + size
	}
	var addrs []string
	if binary.BigEndian.Uint16(query[at+1:]) == 1 { // of type A
		n.mu.Lock()
		addrs = strings.Fields(n.of[name])
		n.mu.Unlock()
	}
	a := append([]byte{}, query[:2]...)
	a = append(a, 0x81, 0x80, 0, 1, 0, byte(len(addrs)), 0, 0, 0, 0)
	a = append(a, query[12:at+5]...)
	for _, addr := range addrs {
		a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		a = append(a, netip.MustParseAddr(addr).AsSlice()...)
	}
	return a
}
