package zoo_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"belfry/delivery"
	"belfry/internal/job"
	"belfry/internal/waittest"
)

// A receiver answers before it has read a large body, and closes, which resets
// the connection: the answer counts, not the write that failed.
func TestEarlyAnswer(t *testing.T) {
	const size = 4 << 20
	gone := job.Result{Status: job.Dead, Reason: job.ReasonGone, Detail: "status 410"}
	answer := func(text string) func(int, net.Conn) {
		return http1(true, func(_, _ int, c net.Conn, _ *http.Request) bool {
			_, _ = io.WriteString(c, text)
			return false
		})
	}
	const head = "HTTP/1.1 410 Gone\r\n"
	for name, handle := range map[string]func(int, net.Conn){
		"without a body":  answer(head + "Content-Length: 0\r\n\r\n"),
		"that closes":     answer(head + "Connection: close\r\nContent-Length: 5\r\n\r\nnever"),
		"up to the end":   answer(head + "\r\nnever"),
		"that is cut off": answer(head + "Content-Length: 500\r\n\r\nnever"),
		"that stays open": http1(true, func(_, _ int, c net.Conn, _ *http.Request) bool {
			_, _ = io.WriteString(c, head+"Connection: close\r\nContent-Length: 0\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
			return false
		}),
		"that reads on not": http1(true, func(_, _ int, c net.Conn, _ *http.Request) bool {
			_, _ = io.WriteString(c, head+"Content-Length: 0\r\n\r\n")
			_, _ = c.Read(make([]byte, 1))
			time.Sleep(50 * time.Millisecond) // the receiver's own pace
			return false
		}),
	} {
		for _, protocols := range [][]string{nil, {"http/1.1"}} {
			t.Run(fmt.Sprint(name, protocols), func(t *testing.T) {
				scheme := "http"
				if protocols != nil {
					scheme = "https"
				}
				_, trusted := identity()
				h := newHouse(t, delivery.Config{RootCAs: trusted})
				key := h.route("r", local(scheme, serve(t, "127.0.0.1:0", protocols, handle), "/"), job.Policy{})
				for n := range 5 {
					h.fire(key, size)
					if results, _ := h.await(key, n+1); results[n] != gone {
						t.Fatalf("webhook %d: got %+v, want %+v", n+1, results[n], gone)
					}
				}
			})
		}
	}
	t.Run("beside a quiet route", func(t *testing.T) {
		port := serve(t, "127.0.0.1:0", nil, answer(head+"Content-Length: 0\r\n\r\n"))
		visit(t, animal{url: local("http", port, "/"), body: 64 << 10, want: gone})
	})
	t.Run("over HTTP/2", func(t *testing.T) {
		port := webServer(t, "127.0.0.1:0", []string{"h2"}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }))
		visit(t, animal{url: local("https", port, "/"), body: 64 << 10, want: gone})
	})
}

// A receiver sends frames that say nothing, as fast as it can. It is cut off after
// a bounded number of bytes; the quiet route, on the very same receiver, has
// connections of its own and notices nothing.
func TestEmptyFrames(t *testing.T) {
	frames := map[string]func(*http2.Framer, uint32) error{
		"data":          func(fr *http2.Framer, s uint32) error { return fr.WriteData(s, false, nil) },
		"padding":       func(fr *http2.Framer, s uint32) error { return fr.WriteDataPadded(s, false, nil, make([]byte, 1)) },
		"pings":         func(fr *http2.Framer, _ uint32) error { return fr.WritePing(false, [8]byte{}) },
		"acks of pings": func(fr *http2.Framer, _ uint32) error { return fr.WritePing(true, [8]byte{}) },
		"settings":      func(fr *http2.Framer, _ uint32) error { return fr.WriteSettings() },
		"windows": func(fr *http2.Framer, _ uint32) error {
			return fr.WriteRawFrame(http2.FrameWindowUpdate, 0, 0, []byte{0, 0, 0, 1})
		},
		"priorities":    func(fr *http2.Framer, s uint32) error { return fr.WritePriority(s, http2.PriorityParam{StreamDep: 0}) },
		"unknown":       func(fr *http2.Framer, _ uint32) error { return fr.WriteRawFrame(0xee, 0, 0, nil) },
		"resets":        func(fr *http2.Framer, _ uint32) error { return fr.WriteRSTStream(1<<20+1, http2.ErrCodeNo) },
		"continuations": func(fr *http2.Framer, s uint32) error { return fr.WriteContinuation(s, false, nil) },
	}
	for name, frame := range frames {
		for _, after := range []bool{false, true} { // the status
			if name == "continuations" && after {
				continue // follow headers only
			}
			t.Run(fmt.Sprintf("%s, answered %v", name, after), func(t *testing.T) {
				var paths connections
				var over1, most, began, ended atomic.Int64
				port := http2By(t, &paths, &over1, nil, func(s *session, stream uint32) {
					began.Add(1)
					defer ended.Add(1)
					switch {
					case after:
						_ = s.headers(stream, 200, false)
					case name == "continuations":
						_ = s.write(func(fr *http2.Framer) error {
							return fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte{0x88}, EndHeaders: false})
						})
					}
					flood(s, func(fr *http2.Framer) error { return frame(fr, stream) })
					for n := s.out.n.Load(); ; {
						if old := most.Load(); old >= n || most.CompareAndSwap(old, n) {
							return
						}
					}
				})
				_, trusted := identity()
				h := newHouse(t, delivery.Config{RootCAs: trusted})
				quiet := h.route("quiet", local("https", port, "/quiet"), job.Policy{})
				loud := h.route("loud", local("https", port, "/animal"), job.Policy{Concurrency: 1})
				alone := h.pace(t, quiet, visits, idle)
				beside, floods := h.measure(t, quiet, loud, 100, 1)
				compare(t, alone, beside)
				results, _ := h.await(loud, floods)
				for i, got := range results {
					ended := got.Status == job.Delivered && after || got.Status == job.Retrying && !after
					if !ended || strings.HasPrefix(got.Detail, "timeout") {
						t.Errorf("flood %d: got %+v", i+1, got)
					}
				}
				if n := paths.shared("/quiet", "/animal"); n > 0 {
					t.Errorf("%d connections are shared by two routes", n)
				}
				waittest.Eventually(t, func() string {
					if b, e := began.Load(), ended.Load(); e < b {
						return fmt.Sprintf("%d of %d floods have ended", e, b)
					}
					return ""
				})
				// 512 KiB for the answer and as much for the connection; the kernel's buffers
				// on both sides come on top.
				t.Logf("the %d floods were cut off after %d KiB at most", floods, most.Load()>>10)
				if n := most.Load(); n == 0 || n > 4<<20 {
					t.Errorf("a connection took %d KiB until it was cut off, want some, and 4096 at most", n>>10)
				}
			})
		}
	}
}

// flood writes a frame again and again, until the other side has closed.
func flood(s *session, frame func(*http2.Framer) error) {
	if tcp, ok := s.out.Conn.(*tls.Conn).NetConn().(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(64 << 10) // so that little is under way
	}
	for {
		err := s.write(func(fr *http2.Framer) (err error) {
			for n := 0; n < 100 && err == nil; n++ {
				err = frame(fr)
			}
			return err
		})
		if err != nil {
			return
		}
		select {
		case <-s.ended:
			return
		default:
		}
	}
}

// A status that decides frees its slot, however slowly its body arrives.
func TestTricklingBody(t *testing.T) {
	for _, protocols := range [][]string{nil, {"h2"}} {
		t.Run(fmt.Sprint("beside a quiet route ", protocols), func(t *testing.T) {
			var open atomic.Int64
			port := webServer(t, "127.0.0.1:0", protocols, trickle(200, &open))
			visit(t, animal{url: local(schemeOf(protocols), port, "/"), body: 100, of: job.Policy{Timeout: job.MaxTimeout}, want: delivered})
		})
	}
	for _, protocols := range [][]string{nil, {"http/1.1"}, {"h2"}} {
		for _, status := range []int{200, 410, 500} {
			t.Run(fmt.Sprint(protocols, status), func(t *testing.T) {
				t.Parallel()
				var open atomic.Int64
				port := webServer(t, "127.0.0.1:0", protocols, trickle(status, &open))
				_, trusted := identity()
				h := newHouse(t, delivery.Config{RootCAs: trusted})
				key := h.route("r", local(schemeOf(protocols), port, "/"), job.Policy{Concurrency: 1, Timeout: job.MaxTimeout})
				const webhooks = 3
				for range webhooks {
					h.fire(key, 100)
				}
				_, attempts := h.await(key, webhooks) // within the test's patience; one body alone would take five times as long
				for i, a := range attempts {
					if a.Status != status || len(a.Response) == 0 {
						t.Errorf("attempt %d: got %+v, want status %d and the beginning of its body", i+1, a, status)
					}
				}
				if n := open.Load(); n != webhooks {
					t.Errorf("%d webhooks were received, want %d", n, webhooks)
				}
			})
		}
	}
}

// trickle answers with a status at once and a body that never ends. It counts its calls.
func trickle(status int, calls *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		w.WriteHeader(status)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			if _, err := io.WriteString(w, "x"); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
		}
	}
}

// schemeOf returns the URL scheme of a receiver with these protocols.
func schemeOf(protocols []string) string {
	if protocols == nil {
		return "http"
	}
	return "https"
}

// The body of an answer comes without end, as fast as it can.
func TestEndlessBody(t *testing.T) {
	for _, protocols := range [][]string{nil, {"h2"}} {
		t.Run(fmt.Sprint(protocols), func(t *testing.T) {
			port := webServer(t, "127.0.0.1:0", protocols, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				for part := make([]byte, 32<<10); r.Context().Err() == nil; {
					if _, err := w.Write(part); err != nil {
						return
					}
				}
			}))
			scheme := "http"
			if protocols != nil {
				scheme = "https"
			}
			visit(t, animal{url: local(scheme, port, "/"), body: 100, want: delivered})
		})
	}
}

// Receivers that hold their tries: the quiet route delivers all it has meanwhile.
func TestReceiversThatHoldTheirTries(t *testing.T) {
	for _, tt := range []struct {
		name, scheme string
		handle       func(held <-chan struct{}) func(int, net.Conn)
		want         job.Result // when the receiver closes at last
	}{
		{"no answer", "http", func(held <-chan struct{}) func(int, net.Conn) {
			return http1(false, func(_, _ int, c net.Conn, _ *http.Request) bool {
				<-held
				_, err := io.WriteString(c, ok1)
				return err == nil
			})
		}, delivered},
		{"no handshake", "https", func(held <-chan struct{}) func(int, net.Conn) {
			return func(_ int, c net.Conn) { <-held }
		}, failed("connection reset")},
		{"trickling headers", "http", func(held <-chan struct{}) func(int, net.Conn) {
			return http1(false, func(_, _ int, c net.Conn, _ *http.Request) bool {
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nX: ")
				for err == nil {
					_, err = io.WriteString(c, "x")
					select {
					case <-held:
						return false
					case <-tick.C:
					}
				}
				return false
			})
		}, failed("connection reset")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			held := make(chan struct{})
			release := sync.OnceFunc(func() { close(held) })
			port := serve(t, "127.0.0.1:0", nil, tt.handle(held))
			t.Cleanup(release)
			visit(t, animal{url: local(tt.scheme, port, "/"), of: job.Policy{Timeout: job.MaxTimeout}, body: 100, release: release, want: tt.want})
		})
	}
}
