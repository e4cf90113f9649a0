package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"belfry/internal/waittest"
)

// visit is a connection of its own to the API.
func visit(t *testing.T, s *Server, request string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// answerOf reads one answer.
func answerOf(t *testing.T, in *bufio.Reader) (status int, body string) {
	t.Helper()
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(all)
}

const (
	probe   = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
	ready   = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"
	listing = "GET /db HTTP/1.1\r\nHost: localhost\r\n\r\n"
	busy    = "POST /route/db HTTP/1.1\r\nHost: localhost\r\nContent-Length: 24\r\n\r\n{"
)

// A connection that waits for its client's next request makes room for another.
func TestIdleConnectionsGiveWay(t *testing.T) {
	t.Parallel()
	cfg := freePorts(t)
	cfg.MaxConnections = 1
	s := startServer(t, cfg)
	var idle []net.Conn
	for i := range 5 {
		request := listing
		if i%2 == 0 {
			request = probe
		}
		conn, in := visit(t, s, request)
		if status, body := answerOf(t, in); status != http.StatusOK {
			t.Errorf("connection %d: %d %s, want 200", i, status, body)
		}
		idle = append(idle, conn)
	}
	for i, conn := range idle[:4] {
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("the idle connection %d is kept, and has %d bytes", i, n)
		}
	}
	// One that has sent nothing yet gives way, too.
	silent, _ := visit(t, s, "")
	_, in := visit(t, s, listing)
	if status, body := answerOf(t, in); status != http.StatusOK {
		t.Errorf("beside a silent connection: %d %s, want 200", status, body)
	}
	silent.Close()
}

// While all connections are busy, probes are answered, and others have their turn or
// are told to come again.
func TestProbesHaveRoom(t *testing.T) {
	t.Parallel()
	cfg := freePorts(t)
	cfg.MaxConnections = 3
	s := startServer(t, cfg)
	waittest.Eventually(t, func() string {
		if status, body := call(t, s, http.MethodGet, "/readyz", ""); status != http.StatusOK {
			return body
		}
		return ""
	})
	var taken []net.Conn
	for range 3 {
		conn, _ := visit(t, s, busy)
		taken = append(taken, conn)
	}
	for i := range 2 * spareConnections {
		request := probe
		if i%2 == 0 {
			request = ready
		}
		conn, in := visit(t, s, request)
		if status, body := answerOf(t, in); status != http.StatusOK {
			t.Fatalf("probe %d: %d %s, want 200", i, status, body)
		}
		if i%3 == 0 {
			conn.Close()
		}
	}
	_, in := visit(t, s, listing)
	if status, body := answerOf(t, in); status != http.StatusServiceUnavailable || !strings.Contains(body, "E305") {
		t.Errorf("a list while all are busy: %d %s, want 503 E305", status, body)
	}
	_, in = visit(t, s, listing)
	if _, err := io.WriteString(taken[0], `"id":"r","type":"NATS"}`); err != nil {
		t.Fatal(err)
	}
	if status, body := answerOf(t, in); status != http.StatusOK {
		t.Errorf("a list that has its turn: %d %s, want 200", status, body)
	}
}

// However many wait for their turn, a probe gets in.
func TestProbesBesideManyThatWait(t *testing.T) {
	t.Parallel()
	cfg := freePorts(t)
	cfg.MaxConnections = 2
	s := startServer(t, cfg)
	waittest.Eventually(t, func() string {
		if status, body := call(t, s, http.MethodGet, "/readyz", ""); status != http.StatusOK {
			return body
		}
		return ""
	})
	for range 2 {
		visit(t, s, busy)
	}
	refused := make(chan string, 3*spareConnections)
	for range 3 * spareConnections {
		_, in := visit(t, s, listing)
		go func() {
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				refused <- err.Error()
				return
			}
			refused <- fmt.Sprint(resp.StatusCode)
		}()
	}
	_, in := visit(t, s, ready)
	if status, body := answerOf(t, in); status != http.StatusOK {
		t.Errorf("a probe: %d %s, want 200", status, body)
	}
	for range cap(refused) {
		if got := <-refused; got != "503" && got != "200" {
			t.Errorf("one that waited got %s, want an answer", got)
		}
	}
	waittest.Eventually(t, func() string {
		_, in := visit(t, s, probe)
		if status, body := answerOf(t, in); status != http.StatusOK {
			return body
		}
		return ""
	})
}

// A probe is answered at once whatever body it announces, and its spare connection is
// soon free for others.
func TestProbesWithBodiesGiveWay(t *testing.T) {
	t.Parallel()
	cfg := freePorts(t)
	cfg.MaxConnections = 1
	s := startServer(t, cfg)
	visit(t, s, busy)
	begun := time.Now()
	for i := range spareConnections {
		framing, part := "Transfer-Encoding: chunked", "1\r\nx\r\n"
		if i%2 == 0 {
			framing, part = "Content-Length: 1000", "x"
		}
		conn, in := visit(t, s, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"+framing+"\r\n\r\n"+part)
		if status, body := answerOf(t, in); status != http.StatusOK {
			t.Fatalf("probe %d: %d %s, want 200", i, status, body)
		}
		go func() { // a body that trickles for as long as somebody reads it
			for range time.Tick(300 * time.Millisecond) {
				if _, err := io.WriteString(conn, part); err != nil {
					return
				}
			}
		}()
	}
	_, in := visit(t, s, probe)
	if status, body := answerOf(t, in); status != http.StatusOK {
		t.Errorf("a probe beside them: %d %s, want 200", status, body)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the probe beside them was answered after %v", took)
	}
}

// A surplus connection is told so in an answer, before it is closed.
func TestTooManyConnectionsAreToldToClose(t *testing.T) {
	t.Parallel()
	cfg := freePorts(t)
	cfg.MaxConnections = 1
	s := startServer(t, cfg)
	answered := func(who string, in *bufio.Reader, closing bool) {
		t.Helper()
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%s: %v", who, err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s (%v), want 200", who, resp.StatusCode, body, err)
		}
		if resp.Close != closing {
			t.Errorf("%s: told to close: %v, want %v", who, resp.Close, closing)
		}
	}
	first, in := visit(t, s, strings.TrimSuffix(busy, "\r\n{")+"Expect: 100-continue\r\n\r\n")
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusContinue {
		t.Fatalf("the first: %v (%v), want 100: it is served", resp, err)
	}
	_, inSecond := visit(t, s, listing) // waits for its turn
	_, inThird := visit(t, s, probe)
	answered("a probe beside them", inThird, true)
	if _, err := io.WriteString(first, `{"id":"r","type":"NATS"}`); err != nil {
		t.Fatal(err)
	}
	answered("the first", in, false)
	// It was not told, so it may go on, though the second one waits.
	if _, err := io.WriteString(first, listing); err != nil {
		t.Fatal(err)
	}
	answered("the first once more", in, true)
	answered("the second", inSecond, true)
}
