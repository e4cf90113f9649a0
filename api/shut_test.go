package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"belfry/api"
	"belfry/internal/job"
)

// shut is the server's side of a connection whose client has sent a request and shut
// its side. It works in virtual time.
type shut struct {
	net.Conn
	request io.Reader
}

func (s *shut) Read(p []byte) (int, error)      { return s.request.Read(p) }
func (s *shut) SetReadDeadline(time.Time) error { return nil }
func (s *shut) SetDeadline(at time.Time) error  { return s.Conn.SetWriteDeadline(at) }

// once is a listener with one connection.
type once struct {
	conn   chan net.Conn
	closed chan struct{}
	close  sync.Once
}

func (l *once) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *once) Close() error   { l.close.Do(func() { close(l.closed) }); return nil }
func (l *once) Addr() net.Addr { return &net.TCPAddr{} }

// A client that has shut its side is answered however long the request may take: it
// waits for its turn, for memory, and for the store.
func TestHalfClosedClientOfASlowRequest(t *testing.T) {
	t.Parallel()
	const (
		turn = 4900 * time.Millisecond
		long = 20 * time.Second // longer than any request may take except a bulk or a restore
	)
	slowly := func(d time.Duration) func(context.Context) error {
		return func(ctx context.Context) error {
			select {
			case <-time.After(d):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	post := func(path, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	}
	for _, tt := range []struct {
		name, request string
		store         time.Duration
		timeout       time.Duration
		status        int
		body          string
	}{
		{"a slow list", "GET /route/db HTTP/1.1\r\nHost: localhost\r\n\r\n", turn, 0, 200, `"routes"`},
		{"a store without an answer", "GET /route/db HTTP/1.1\r\nHost: localhost\r\n\r\n", time.Hour, 0, 503, "E302"},
		{"a slow write", post("/route/db", `{"id":"q","type":"NATS"}`), turn, 0, 200, `"ok"`},
		{"a write without an answer", post("/route/db", `{"id":"q","type":"NATS"}`), time.Hour, 0, 503, "E30"},
		{"a long bulk", post("/bulk/db/coll", goodJob), long, time.Minute, 200, `"status":"ok"`},
		{"a restore that fails late", post("/restore", emptyBackup), long, 0, 409, "E141"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := bulkStore(t)
				s.fail = slowly(tt.store)
				cfg := config(s)
				cfg.Timeout = tt.timeout
				cfg.Backups = slowRestore{wait: s.fail}
				cfg.Admit = slowly(turn)
				srv := &http.Server{Handler: api.New(cfg)}
				l := &once{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
				served := make(chan error, 1)
				go func() { served <- srv.Serve(l) }()
				ours, theirs := net.Pipe()
				l.conn <- &shut{Conn: theirs, request: strings.NewReader(tt.request)}
				resp, err := http.ReadResponse(bufio.NewReader(ours), nil)
				if err != nil {
					t.Errorf("no answer: %v", err)
				} else {
					body, err := io.ReadAll(resp.Body)
					if err != nil || resp.StatusCode != tt.status || !strings.Contains(string(body), tt.body) {
						t.Errorf("got %d %s and %v, want %d %s", resp.StatusCode, body, err, tt.status, tt.body)
					}
				}
				ours.Close()
				if err := srv.Close(); err != nil {
					t.Error(err)
				}
				if err := <-served; !errors.Is(err, http.ErrServerClosed) {
					t.Error(err)
				}
			})
		})
	}
}

// slowRestore is a store that finds out late that it is not empty.
type slowRestore struct {
	api.Backups
	wait func(context.Context) error
}

func (s slowRestore) Restore(ctx context.Context, _ string, next func() (job.Entry, error)) error {
	for {
		if _, err := next(); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	if err := s.wait(ctx); err != nil {
		return err
	}
	return job.ErrNotEmpty
}
