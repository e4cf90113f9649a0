package zoo_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"belfry/delivery"
	"belfry/internal/job"
	"belfry/internal/waittest"
)

// A receiver closes a connection on which the next request is already on its way
// (golang/go#22158): no byte comes back. Each webhook is sent once more, on a new
// connection, and that is one try.
func TestStaleConnection(t *testing.T) {
	closed := func(hard bool) func(int, int, net.Conn, *http.Request) bool {
		return func(_, request int, c net.Conn, r *http.Request) bool {
			if request == 1 {
				_, _ = io.Copy(io.Discard, r.Body)
				_, err := io.WriteString(c, ok1)
				return err == nil
			}
			if tc, ok := c.(*net.TCPConn); ok && hard {
				_ = tc.SetLinger(0) // a reset
			}
			return false
		}
	}
	for _, tt := range []struct {
		name      string
		protocols []string
		handle    func(int, net.Conn)
		body      int
	}{
		{"closed", nil, http1(false, closed(false)), 100},
		{"reset", nil, http1(false, closed(true)), 100},
		{"closed with TLS", []string{"http/1.1"}, http1(false, closed(false)), 100},
		{"closed before a large body", nil, http1(true, closed(false)), 2 << 20},
		{"reset before a large body", nil, http1(true, closed(true)), 2 << 20},
		{"every other connection", nil, http1(false, func(n, request int, c net.Conn, _ *http.Request) bool {
			if n%2 == 1 {
				return false
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return false
		}), 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scheme := "http"
			if tt.protocols != nil {
				scheme = "https"
			}
			if tt.name == "every other connection" || tt.body > 100 {
				one(t, local(scheme, serve(t, "127.0.0.1:0", tt.protocols, tt.handle), "/"), 10, tt.body, delivered)
				return
			}
			visit(t, animal{url: local(scheme, serve(t, "127.0.0.1:0", tt.protocols, tt.handle), "/"), body: tt.body, want: delivered})
		})
	}
}

// one delivers webhooks one after the other.
func one(t *testing.T, url string, webhooks, size int, want job.Result) {
	t.Helper()
	_, trusted := identity()
	h := newHouse(t, delivery.Config{RootCAs: trusted})
	key := h.route("r", url, job.Policy{})
	for n := range webhooks {
		h.fire(key, size)
		results, attempts := h.await(key, n+1)
		if got := results[n]; got != want || len(attempts) != n+1 {
			t.Fatalf("webhook %d: got %+v after %d attempts, want %+v after one for each", n+1, got, len(attempts), want)
		}
	}
}

// A receiver that closes each connection unanswered is called twice in a try, and not
// without end.
func TestReceiverThatClosesEachConnection(t *testing.T) {
	var calls atomic.Int64
	port := serve(t, "127.0.0.1:0", nil, http1(false, func(int, int, net.Conn, *http.Request) bool { calls.Add(1); return false }))
	attempts := visit(t, animal{url: local("http", port, "/"), want: failed("connection reset")})
	if n := calls.Load(); n != int64(2*len(attempts)) {
		t.Errorf("%d tries made %d calls, want two each", len(attempts), n)
	}
}

// A name leads elsewhere, while the old address still answers (golang/go#23427):
// the webhooks follow, though connections to the old one are in use all the time.
func TestMovedName(t *testing.T) {
	for _, protocols := range [][]string{nil, {"h2", "http/1.1"}} {
		t.Run(fmt.Sprint(protocols), func(t *testing.T) {
			var oldCalls, newCalls atomic.Int64
			handler := func(calls *atomic.Int64) http.Handler {
				return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); calls.Add(1) })
			}
			port := webServer(t, "127.0.0.1:0", protocols, handler(&oldCalls))
			webServer(t, fmt.Sprintf("127.0.0.2:%d", port), protocols, handler(&newCalls))
			n := &names{}
			n.set("example.com", "127.0.0.1")
			scheme := "http"
			if protocols != nil {
				scheme = "https" // the certificate is for example.com, too
			}
			_, trusted := identity()
			h := newHouse(t, delivery.Config{Resolver: n.resolver(t), RootCAs: trusted, ConnectionAge: 300 * time.Millisecond})
			key := h.route("r", fmt.Sprintf("%s://example.com:%d/", scheme, port), job.Policy{})
			sent := 0
			call := func() {
				h.fire(key, 100)
				sent++
				results, _ := h.await(key, sent)
				if results[sent-1] != delivered {
					t.Fatalf("webhook %d: %+v", sent, results[sent-1])
				}
			}
			quiet := h.route("quiet", tame(t), job.Policy{})
			call()
			if oldCalls.Load() != 1 {
				t.Fatal("the first webhook did not arrive at the first address")
			}
			alone := h.pace(t, quiet, visits, idle)
			h.pace(t, quiet, 1, call)
			n.set("example.com", "127.0.0.2")
			compare(t, alone, h.pace(t, quiet, visits, call))
			waittest.Eventually(t, func() string {
				call()
				if newCalls.Load() == 0 {
					return "no webhook has followed the name"
				}
				return ""
			})
			before := oldCalls.Load()
			for range 10 {
				call()
			}
			if n := oldCalls.Load() - before; n > 0 {
				t.Errorf("%d webhooks went to the old address after one had followed", n)
			}
		})
	}
}

// The old address falls silent, with connections open. The first try ends in a
// timeout, and the ones after it call the new address.
func TestMovedNameWithASilentOldAddress(t *testing.T) {
	silent := make(chan struct{})
	port := serve(t, "127.0.0.1:0", nil, http1(false, func(_, _ int, c net.Conn, _ *http.Request) bool {
		select {
		case <-silent:
			_, _ = io.Copy(io.Discard, c)
			return false
		default:
			_, err := io.WriteString(c, ok1)
			return err == nil
		}
	}))
	webServer(t, fmt.Sprintf("127.0.0.2:%d", port), nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	n := &names{}
	n.set("moved.example", "127.0.0.1")
	h := newHouse(t, delivery.Config{Resolver: n.resolver(t)})
	key := h.route("r", fmt.Sprintf("http://moved.example:%d/", port), job.Policy{Timeout: time.Second})
	// Two at once, so that two connections are kept.
	h.fire(key, 100)
	h.fire(key, 100)
	h.await(key, 2)
	quiet := h.route("quiet", tame(t), job.Policy{})
	alone := h.pace(t, quiet, visits, idle)
	close(silent)
	n.set("moved.example", "127.0.0.2")
	h.fire(key, 100)
	compare(t, alone, h.pace(t, quiet, visits, idle))
	if results, _ := h.await(key, 3); results[2].Detail != "timeout after 1s" {
		t.Fatalf("the first webhook to the silent address: %+v", results[2])
	}
	for i := range 3 {
		h.fire(key, 100)
		if results, _ := h.await(key, 4+i); results[3+i] != delivered {
			t.Errorf("webhook %d after it: %+v, want delivered", i+1, results[3+i])
		}
	}
}

// One address of a name takes connections and says nothing, not even a handshake.
// A try ends there, and those after it call the other address.
func TestSilentAddressBesideALiveOne(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			var protocols []string
			if scheme == "https" {
				protocols = []string{"h2"}
			}
			port := serve(t, "127.0.0.1:0", nil, func(_ int, c net.Conn) { _, _ = io.Copy(io.Discard, c) })
			var calls atomic.Int64
			webServer(t, fmt.Sprintf("127.0.0.2:%d", port), protocols, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.Header().Set("Connection", "close")
			}))
			n := &names{}
			n.set("example.com", "127.0.0.1 127.0.0.2")
			_, trusted := identity()
			h := newHouse(t, delivery.Config{Resolver: n.resolver(t), RootCAs: trusted})
			url := fmt.Sprintf("%s://example.com:%d/", scheme, port)
			// The system may put either address first.
			key := h.route("r", url, job.Policy{Timeout: time.Second})
			quiet := h.route("quiet", tame(t), job.Policy{})
			alone := h.pace(t, quiet, visits, idle)
			var beside []time.Duration
			const webhooks = 10
			silent := 0
			for i := range webhooks {
				h.fire(key, 100)
				beside = append(beside, h.pace(t, quiet, visits/webhooks, idle)...)
				if results, _ := h.await(key, i+1); results[i] != delivered {
					silent++
				}
			}
			compare(t, alone, beside)
			// The next try may begin while the connection of the last one is being closed.
			if silent > 2 {
				t.Errorf("%d of %d webhooks were lost to the silent address, want two at most", silent, webhooks)
			}
			if n := calls.Load(); n < webhooks-2 {
				t.Errorf("%d webhooks arrived, want %d or more", n, webhooks-2)
			}
		})
	}
}

// webServer is net/http's.
func webServer(t testing.TB, address string, protocols []string, handler http.Handler) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: handler}
	if protocols != nil {
		cert, _ := identity()
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: protocols}
	}
	var all sync.WaitGroup
	all.Go(func() {
		if protocols != nil {
			_ = srv.ServeTLS(l, "", "")
		} else {
			_ = srv.Serve(l)
		}
	})
	t.Cleanup(func() { _ = srv.Close(); all.Wait() })
	return l.Addr().(*net.TCPAddr).Port
}

// A receiver demands HTTP/1.1 although it offered HTTP/2; RFC 9113, section 7.
func TestHTTP1Required(t *testing.T) {
	for name, refuse := range map[string]func(*session, uint32){
		"of a request": func(s *session, stream uint32) {
			_ = s.write(func(fr *http2.Framer) error { return fr.WriteRSTStream(stream, http2.ErrCodeHTTP11Required) })
		},
		"of a connection": func(s *session, stream uint32) {
			_ = s.write(func(fr *http2.Framer) error {
				return fr.WriteGoAway(0, http2.ErrCodeHTTP11Required, []byte("no"))
			})
			s.out.Close()
		},
		"of a connection that had requests": func(s *session, stream uint32) {
			_ = s.write(func(fr *http2.Framer) error {
				return fr.WriteGoAway(stream, http2.ErrCodeHTTP11Required, []byte(`no, debug="`))
			})
			s.out.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var paths connections
			var over1 atomic.Int64
			port := http2By(t, &paths, &over1, nil, refuse)
			attempts := visit(t, animal{url: local("https", port, "/animal"), quiet: local("https", port, "/quiet"), want: delivered})
			if n := over1.Load(); n != int64(len(attempts)) {
				t.Errorf("%d of %d webhooks came with HTTP/1.1", n, len(attempts))
			}
		})
	}
}

// A receiver says over HTTP/2 that it goes away, again and again, and breaks off
// what it had begun.
func TestHTTP2ConnectionThatGoesAway(t *testing.T) {
	var paths connections
	var over1 atomic.Int64
	port := http2By(t, &paths, &over1, nil, func(s *session, stream uint32) {
		if stream == 1 {
			_ = s.headers(stream, 200, true)
			return
		}
		_ = s.write(func(fr *http2.Framer) error { return fr.WriteGoAway(stream, http2.ErrCodeNo, nil) })
		s.out.Close()
	})
	_, trusted := identity()
	h := newHouse(t, delivery.Config{RootCAs: trusted})
	key := h.route("r", local("https", port, "/animal"), job.Policy{})
	for n := range 20 {
		h.fire(key, 100)
		if results, _ := h.await(key, n+1); results[n] != delivered {
			t.Fatalf("webhook %d: %+v", n+1, results[n])
		}
	}
}
