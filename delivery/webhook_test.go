package delivery_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/delivery"
	"belfry/internal/job"
	"belfry/internal/logtest"
	"belfry/internal/porttest"
)

// TestRequest compares everything that a receiver gets.
func TestRequest(t *testing.T) {
	t.Parallel()
	type request struct {
		Method, Target, Body string
		Header               http.Header
	}
	got := make(chan request, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- request{r.Method, r.RequestURI, string(body), r.Header}
	}))
	t.Cleanup(srv.Close)

	const meta = " {\"b\": 1.0,\t\"a\":[ \"\\u00fc<>&\" ], \"a\":2}\n"
	s := newStore(t)
	s.run(delivery.Config{
		Escape:        func(id string) string { return "<" + id + ">" },
		Version:       "1.2.3",
		DefaultScheme: "http",
		Now:           func() time.Time { return time.UnixMilli(1667659342999) },
	})
	key := s.addRoute("game server", strings.TrimPrefix(srv.URL, "http://")+"/timer?action=endgame")
	s.fire(key, func(h *job.Handover) {
		h.Key = job.Key{DB: "db", Collection: "a.b", ID: "x/ü"}
		h.Fire.FireID = "fire-id"
		h.Attempt = 3
		h.Meta = []byte(meta)
	})

	want := request{"POST", "/timer?action=endgame", meta, http.Header{
		"Content-Type":        {"application/json"},
		"Content-Length":      {fmt.Sprint(len(meta))},
		"User-Agent":          {"Belfry/1.2.3"},
		"Webhook-Id":          {"fire-id"},
		"Webhook-Timestamp":   {"1667659342"},
		"Belfry-Db":           {"<db>"},
		"Belfry-Collection":   {"<a.b>"},
		"Belfry-Job-Id":       {"<x/ü>"},
		"Belfry-Route":        {"<game server>"},
		"Belfry-Trigger-Time": {"1667659342626"},
		"Belfry-Attempt":      {"3"},
	}}
	if diff := cmp.Diff(want, <-got); diff != "" {
		t.Errorf("the request differs (-want +got):\n%s", diff)
	}
	if got, want := s.awaitResult(1), (job.Result{Status: job.Delivered}); got != want {
		t.Errorf("result: got %+v, want %+v", got, want)
	}
	s.awaitAcks(1)
}

func TestCredentialsOfURL(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		got <- user + ":" + password
	}))
	t.Cleanup(srv.Close)
	s := newStore(t)
	s.run(delivery.Config{})
	s.fire(s.addRoute("r", strings.Replace(srv.URL, "http://", "http://user:pass@", 1)))
	if got := <-got; got != "user:pass" {
		t.Errorf("basic auth: got %q, want %q", got, "user:pass")
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var followed atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for _, code := range []int{301, 302, 303, 307, 308} {
		srv := httptest.NewServer(http.RedirectHandler(elsewhere.URL, code))
		t.Cleanup(srv.Close)
		s := newStore(t)
		s.run(delivery.Config{})
		s.fire(s.addRoute("r", srv.URL))
		res := s.awaitResult(1)
		if want := fmt.Sprintf("status %d", code); res.Status != job.Retrying || res.Detail != want {
			t.Errorf("redirect: got %+v, want status %q, detail %q", res, job.Retrying, want)
		}
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d redirects were followed, want none", n)
	}
}

// TestConnectionsAreReused reads answers to their end; one without an end must
// not hold the fire.
func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		answer int // bytes
		conns  int32
	}{
		{0, 1}, {10_000, 1}, {60_000, 1}, {1 << 20, 5},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.answer), func(t *testing.T) {
			t.Parallel()
			var conns atomic.Int32
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.Write(make([]byte, tt.answer))
			}))
			srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					conns.Add(1)
				}
			}
			srv.Start()
			t.Cleanup(srv.Close)
			s := newStore(t)
			s.run(delivery.Config{})
			key := s.addRoute("r", srv.URL)
			for n := range 5 {
				s.fire(key)
				s.awaitAcks(n + 1)
			}
			if got := conns.Load(); got != tt.conns {
				t.Errorf("5 answers of %d bytes: got %d connections, want %d", tt.answer, got, tt.conns)
			}
		})
	}
}

func TestHTTP2(t *testing.T) {
	t.Parallel()
	proto := make(chan string, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { proto <- r.Proto }))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(srv.Certificate())
	s := newStore(t)
	s.run(delivery.Config{}, func(m *delivery.Manager) {
		m.Transport().TLSClientConfig = &tls.Config{RootCAs: trusted}
	})
	s.fire(s.addRoute("r", strings.TrimPrefix(srv.URL, "https://")))
	if got := <-proto; got != "HTTP/2.0" {
		t.Errorf("protocol: got %q, want HTTP/2.0", got)
	}
	s.awaitAcks(1)
}

// TestSwitchingProtocols has a receiver that takes the connection over and
// keeps it: the try must end all the same.
func TestSwitchingProtocols(t *testing.T) {
	t.Parallel()
	addr := serveRaw(t, func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.Copy(io.Discard, c)
	})
	s := newStore(t)
	s.run(delivery.Config{})
	s.fire(s.addRoute("r", "http://"+addr))
	if res := s.awaitResult(1); res.Detail != "status 101" {
		t.Errorf("detail: got %q, want %q", res.Detail, "status 101")
	}
}

// TestNothingLeaks fails in every possible way with secrets in the URL.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	closed := porttest.Unused(t)
	quiet := log.New(io.Discard, "", 0)
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = quiet
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	silent := serveRaw(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	hangup := serveRaw(t, func(net.Conn) {})
	garbled := serveRaw(t, func(c net.Conn) { io.WriteString(c, "s3cret answer\r\n\r\n"); io.Copy(io.Discard, c) })
	elsewhere := serveRaw(t, func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: http://s3cret:%zz/\r\nContent-Length: 0\r\n\r\n")
		io.Copy(io.Discard, c)
	})

	tests := []struct {
		name, scheme, host, want string
	}{
		{"dns", "http", "s3cret..example", "dns error"},
		{"refused", "http", closed, "connection refused"},
		{"timeout", "http", silent, "timeout after 300ms"},
		{"reset", "http", hangup, "connection reset"},
		{"tls", "https", untrusted.Listener.Addr().String(), "tls error"},
		{"no tls", "https", plain.Listener.Addr().String(), "tls error"},
		{"garbled", "http", garbled, "no valid answer"},
		{"garbled location", "http", elsewhere, "status 302"},
		{"status", "http", plain.Listener.Addr().String(), "status 404"},
		{"malformed", "http", "127.0.0.1:s3cret", "bad webhook_url"},
		{"bad scheme", "s3cret", "127.0.0.1", "bad webhook_url"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var logged logtest.Log
			s := newStore(t)
			timeout := 15 * time.Second
			if tt.name == "timeout" {
				timeout = 300 * time.Millisecond
			}
			stop := s.run(delivery.Config{
				Timeout: timeout,
				Retry:   job.RetryPolicy{MaxAttempts: 1},
				Log:     logged.Logger(),
			})
			s.fire(s.addRoute("r", tt.scheme+"://user:s3cret@"+tt.host+"/s3cret?token=s3cret"), func(h *job.Handover) {
				h.Meta = []byte(`"s3cret"`)
			})
			s.awaitAcks(1)
			want := job.Result{Status: job.Dead, Reason: job.ReasonExhausted, Detail: tt.want}
			if got := s.awaitResult(1); got != want {
				t.Errorf("result: got %+v, want %+v", got, want)
			}
			if err := stop(); err != nil {
				t.Errorf("Run: got %v, want nil", err)
			}
			if got := logged.String(); strings.Contains(got, "s3cret") || !strings.Contains(got, "a try failed") {
				t.Errorf("log: got %s, want a line that the try failed, without s3cret", got)
			}
		})
	}
}

// The time limit of a route's tries includes connecting.
func TestTimeoutOfARouteInTheHandshake(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{time.Second, time.Minute, job.MaxTimeout} {
		synctest.Test(t, func(t *testing.T) {
			s := newStore(t)
			s.run(delivery.Config{}, func(m *delivery.Manager) {
				m.Transport().DialContext = func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					t.Cleanup(func() { theirs.Close() })
					go io.Copy(io.Discard, theirs)
					return ours, nil
				}
			})
			s.fire(s.addPolicy("r", "https://h.example/", job.Policy{Timeout: timeout}))
			time.Sleep(timeout)
			if got, want := s.awaitResult(1).Detail, fmt.Sprintf("timeout after %v", timeout); got != want {
				t.Errorf("a handshake that is not answered ends with %q, want %q", got, want)
			}
		})
	}
}

func TestNoProxy(t *testing.T) {
	t.Parallel()
	if p := delivery.New(delivery.Config{}).Transport().Proxy; p != nil {
		t.Error("the transport has a proxy function, want none")
	}
}

// serveRaw hands each connection to serve once a request has begun to come in,
// and closes it afterwards.
func serveRaw(t *testing.T, serve func(net.Conn)) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				defer context.AfterFunc(ctx, func() { c.Close() })()
				if _, err := c.Read(make([]byte, 1<<10)); err == nil {
					serve(c)
				}
			}()
		}
	}()
	return l.Addr().String()
}
