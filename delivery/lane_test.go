package delivery_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"belfry/delivery"
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

// Connections are replaced while they are in use all the time, and one that is in
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
