package delivery_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"belfry/delivery"
)

// receiver is a web server that runs in a synctest bubble, since its network
// is made of pipes.
type receiver struct {
	conns    chan net.Conn
	accepted atomic.Int64
	*slowHandler
}

// slowHandler answers each request with what answer says, and keeps what it
// got.
type slowHandler struct {
	answer func(w http.ResponseWriter, r *http.Request)

	mu  sync.Mutex
	got []string // "METHOD host/path body"
}

func (h *slowHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	h.got = append(h.got, fmt.Sprintf("%s %s%s %s", r.Method, r.Host, r.URL.Path, body))
	h.mu.Unlock()
	if h.answer != nil {
		h.answer(w, r)
	}
}

func (h *slowHandler) requests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

func newReceiver(t testing.TB, answer func(http.ResponseWriter, *http.Request)) *receiver {
	r := &receiver{conns: make(chan net.Conn), slowHandler: &slowHandler{answer: answer}}
	srv := &http.Server{Handler: r}
	ended := make(chan struct{})
	go func() { defer close(ended); srv.Serve(r) }()
	t.Cleanup(func() { srv.Close(); <-ended })
	return r
}

// dial makes every connection of the manager one to r.
func (r *receiver) dial(m *delivery.Manager) {
	m.Transport().DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case r.conns <- theirs:
			return ours, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (r *receiver) Accept() (net.Conn, error) {
	c, ok := <-r.conns
	if !ok {
		return nil, net.ErrClosed
	}
	r.accepted.Add(1)
	return c, nil
}

func (r *receiver) Close() error   { close(r.conns); return nil }
func (r *receiver) Addr() net.Addr { return &net.TCPAddr{} }

// status answers every request with code.
func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// hang answers when its client has gone.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
