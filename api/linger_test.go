package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// patience bounds the waits of these tests.
const patience = 20 * time.Second

// talk opens a connection to a server over real TCP.
func talk(t *testing.T, addr net.Addr) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

// sendsAll sends a request as clients do that look for the answer only after sending
// everything. It returns the bytes received until the connection was closed.
func sendsAll(t *testing.T, conn *net.TCPConn, request string, length int) (status int, body string) {
	t.Helper()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	chunk := []byte(strings.Repeat(" ", 64<<10))
	for sent := 0; sent < length; sent += len(chunk) {
		part := chunk
		if strings.Contains(request, "chunked") {
			part = []byte(fmt.Sprintf("%x\r\n%s\r\n", len(chunk), chunk))
		}
		if _, err := conn.Write(part); err != nil {
			t.Fatalf("after %d bytes: %v", sent, err)
		}
	}
	if strings.Contains(request, "chunked") {
		if _, err := io.WriteString(conn, "0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("the answer: %v", err)
	}
	if !resp.Close {
		t.Error("the answer does not say that the connection is closed")
	}
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		t.Errorf("after the answer: %q and %v, want the end", rest, err)
	}
	return resp.StatusCode, string(got)
}

// Whatever refuses a long body, a client that sends it to its end gets the answer.
func TestLongBodyIsAnswered(t *testing.T) {
	t.Parallel()
	cfg := config(newStore())
	open := server(t, cfg)
	cfg.AdminToken = "hunter2-is-my-admin-token"
	locked := server(t, cfg)
	const length = 20 << 20
	for _, tt := range []struct {
		name, line string
		locked     bool
		status     int
		code       string
	}{
		{"job", "POST /job/db/coll", false, 413, "E012"},
		{"update", "PUT /job/db/coll/x", false, 413, "E012"},
		{"route", "POST /route/db", false, 413, "E012"},
		{"cancel by filter", "POST /cancel/db", false, 413, "E012"},
		{"token", "POST /token", false, 413, "E012"},
		{"bulk", "POST /bulk/db/coll", false, 413, "E012"},
		{"restore", "POST /restore", true, 401, "E401"},
		{"no token", "POST /job/db/coll", true, 401, "E401"},
		{"no path", "POST /nowhere", false, 404, "E201"},
		{"no method", "PATCH /job/db/coll", false, 405, "E202"},
		{"bad id", "POST /job/%FF/coll", false, 400, "E007"},
		{"a cancel with a body", "DELETE /job/db/coll/x", false, 400, "E101"},
		{"a probe with a body", "GET /healthz", false, 200, `"ok"`},
	} {
		for _, framing := range []string{fmt.Sprintf("Content-Length: %d", length), "Transfer-Encoding: chunked"} {
			t.Run(tt.name+" "+framing[:7], func(t *testing.T) {
				t.Parallel()
				srv := open
				if tt.locked {
					srv = locked
				}
				conn := talk(t, srv.Listener.Addr())
				status, body := sendsAll(t, conn, tt.line+" HTTP/1.1\r\nHost: localhost\r\n"+framing+"\r\n\r\n", length)
				if status != tt.status || !strings.Contains(body, tt.code) {
					t.Errorf("%s: got %d %s, want %d %s", tt.line, status, body, tt.status, tt.code)
				}
			})
		}
	}
}

// A client that asks first is answered at once, and asked not to go on.
func TestExpectIsAnswered(t *testing.T) {
	t.Parallel()
	srv := server(t, config(newStore()))
	for _, path := range []string{"/job/db/coll", "/route/db", "/nowhere"} {
		conn := talk(t, srv.Listener.Addr())
		request := "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\nExpect: 100-continue\r\n\r\n"
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 4") || strings.Contains(string(all), "100 Continue") {
			t.Errorf("%s: got %q and %v, want a refusal and the end", path, all, err)
		}
	}
}

// A client that sends without end, or stops in the middle, keeps its connection for a
// bounded time.
func TestLingerIsBounded(t *testing.T) {
	t.Parallel()
	srv := server(t, config(newStore()))
	conn := talk(t, srv.Listener.Addr())
	if _, err := io.WriteString(conn, "POST /job/db/coll HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	if all, err := io.ReadAll(conn); err != nil || !strings.Contains(string(all), "E012") {
		t.Errorf("a body that stops: got %q and %v, want a refusal and the end", all, err)
	}
	conn = talk(t, srv.Listener.Addr())
	if _, err := io.WriteString(conn, "POST /job/db/coll HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000000000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	chunk, sent := make([]byte, 1<<20), 0
	for {
		n, err := conn.Write(chunk)
		if sent += n; err != nil || sent > 1<<30 {
			break
		}
	}
	if sent > 1<<30 {
		t.Errorf("%d bytes of a body without an end are read", sent)
	}
}

// A request that was sent completely is answered although its client has shut its
// side.
func TestHalfClosedClientIsAnswered(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.fail = func(ctx context.Context) error {
		select {
		case <-time.After(300 * time.Millisecond): // a list may take this long
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	srv := server(t, config(s))
	for _, request := range []string{
		"GET /job/db HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /job/db/coll HTTP/1.0\r\nHost: localhost\r\n\r\n",
		"GET /route/db HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"POST /route/db HTTP/1.1\r\nHost: localhost\r\nContent-Length: 24\r\n\r\n" + `{"id":"r","type":"NATS"}`,
		"POST /bulk/db/coll HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n" + fmt.Sprintf("%-100s", goodJob),
		"GET /backup HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		conn := talk(t, srv.Listener.Addr())
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(conn)
		if first, _, _ := strings.Cut(string(all), "\r\n"); err != nil || !strings.HasSuffix(first, " 200 OK") {
			t.Errorf("%.40q: got %.200q and %v, want 200", request, all, err)
		}
	}
}
