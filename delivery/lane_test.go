package delivery_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"belfry/delivery"
	"belfry/internal/job"
)

// A route that had a try holds connections for a while, and nothing afterwards:
// there may be ten thousand of them.
func TestIdleRouteHoldsNoConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, nil)
		s := newStore(t)
		var m *delivery.Manager
		s.run(delivery.Config{}, rec.dial, func(manager *delivery.Manager) { m = manager })
		for i := range 20 {
			s.fire(s.addRoute(fmt.Sprint("r", i), "http://h.example/"))
		}
		s.awaitAcks(20)
		if n := m.Lanes(); n != 20 {
			t.Errorf("%d routes have connections after a try each, want 20", n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := m.Lanes(); n != 0 {
			t.Errorf("%d routes have connections two minutes later, want none", n)
		}
	})
}

// Connections are replaced even while they are in constant use, and a connection in
// use ends with its try.
func TestConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		rec := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-slow
			}
		})
		s := newStore(t)
		s.run(delivery.Config{Timeout: 10 * time.Minute}, rec.dial)
		s.fire(s.addRoute("slow", "http://h.example/slow"))
		key := s.addRoute("r", "http://h.example/")
		for n := range 30 {
			s.fire(key)
			s.awaitAcks(n + 1)
			time.Sleep(20 * time.Second)
		}
		// 600 s, each connection used for 120 s; and the slow one.
		if n := rec.accepted.Load(); n < 5 || n > 7 {
			t.Errorf("%d connections were made in ten minutes, want 5 or 6", n)
		}
		close(slow)
		s.awaitAcks(31)
	})
}

// A machine that has run out of a resource closes the idle connections of all routes,
// and goes on delivering without them.
func TestShortageClosesIdleConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, nil)
		s := newStore(t)
		var short atomic.Bool
		var open atomic.Int64
		s.run(delivery.Config{}, rec.dial, func(m *delivery.Manager) {
			dial := m.Transport().DialContext
			m.Transport().DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				// Others take what becomes free while it is short.
				if short.Load() && open.Load() > 0 {
					return nil, noFiles
				}
				c, err := dial(ctx, network, address)
				if err == nil {
					open.Add(1)
					c = &counted{Conn: c, open: &open}
				}
				return c, err
			}
		})
		const routes = 10
		keys := make([]job.RouteKey, routes)
		for i := range keys {
			keys[i] = s.addRoute(fmt.Sprint("r", i), "http://h.example/")
			s.fire(keys[i])
		}
		s.awaitAcks(routes)
		synctest.Wait()
		if n := open.Load(); n != routes {
			t.Fatalf("%d connections are kept after a try of %d routes each, want them all", n, routes)
		}
		short.Store(true)
		began := time.Now()
		s.fire(s.addRoute("new", "http://h.example/"))
		if got := s.awaitResult(routes + 1); got.Status != job.Delivered {
			t.Errorf("got %+v, want delivered", got)
		}
		// Idle connections alone would have held it up for half a minute.
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the webhook was delivered after %v, want it made at the next go", took)
		}
		if n := open.Load(); n != 1 {
			t.Errorf("%d connections are open, want the new one alone", n)
		}
	})
}

// A route keeps no more idle connections than it may have tries under way, and none
// for longer than half a minute.
func TestIdleConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := newReceiver(t, nil)
		s := newStore(t)
		var open atomic.Int64
		var m *delivery.Manager
		s.run(delivery.Config{}, rec.dial, func(manager *delivery.Manager) {
			m = manager
			dial := m.Transport().DialContext
			m.Transport().DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := dial(ctx, network, address)
				if err == nil {
					open.Add(1)
					c = &counted{Conn: c, open: &open}
				}
				return c, err
			}
		})
		key := s.addPolicy("r", "http://h.example/", job.Policy{Concurrency: 2})
		for range 20 {
			s.fire(key)
		}
		s.awaitAcks(20)
		synctest.Wait()
		if n := open.Load(); n < 1 || n > 2 {
			t.Errorf("%d connections are kept of a route with a concurrency of 2", n)
		}
		if n := m.Kept("r"); n != 2 {
			t.Errorf("the route may keep %d idle connections, want 2", n)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if n := open.Load(); n != 0 {
			t.Errorf("%d connections are open half a minute later, want none", n)
		}
	})
}

// counted counts the connections that are open.
type counted struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// BenchmarkLane measures what a route holds beside its connections.
func BenchmarkLane(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer srv.Close()
	m := delivery.New(delivery.Config{Escape: func(s string) string { return s }})
	inUse := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := inUse()
	const routes = 1000
	for b.Loop() {
		for i := range routes {
			m.HoldLane(fmt.Sprint(i))
		}
	}
	b.ReportMetric(float64(inUse()-before)/routes, "B/route")
}
