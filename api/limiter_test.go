package api_test

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"belfry/api"
	"belfry/internal/job"
)

func TestRequestRate(t *testing.T) {
	s := newStore()
	cfg := config(s)
	cfg.AdminToken = adminToken
	cfg.RequestRate = 3
	one := s.issue(t, job.Token{Role: job.Reader, AllDBs: true})
	two := s.issue(t, job.Token{Role: job.Reader, AllDBs: true})
	synctest.Test(t, func(t *testing.T) {
		handler := api.New(cfg)
		get := func(path, token, from string, want int) {
			t.Helper()
			req := httptest.NewRequest("GET", path, nil)
			req.RemoteAddr = from
			if token != "" {
				req.Header.Set("Authorization", "Bearer "+token)
			}
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, req)
			if rec.Code != want {
				t.Fatalf("GET %s with %.12q from %s: %d %s, want %d", path, token, from, rec.Code, rec.Body, want)
			}
			if retry := rec.Header().Get("Retry-After"); (retry == "1") != (want == 429) {
				t.Fatalf("status %d with Retry-After %q", rec.Code, retry)
			}
		}
		const path, home = "/route/db/r", "192.0.2.1:1"
		for range 3 {
			get(path, one, home, 400)
		}
		get(path, one, home, 429)
		get(path, one, "198.51.100.1:1", 429) // the token counts, not where it is used
		get(path, two, home, 400)
		for range 3 {
			get(path, "", home, 401)
		}
		get(path, "", "192.0.2.1:2", 429) // the address counts, not its port
		get(path, "", "192.0.2.2:1", 401)
		for i := range 3 {
			get(path, "", fmt.Sprintf("[2001:db8::%d]:1", i), 401)
		}
		get(path, "", "[2001:db8::ffff:1]:1", 429) // the same network
		get(path, "", "[2001:db8:0:1::1]:1", 401)
		for range 10 {
			get("/healthz", "", home, 200) // probes are not counted
		}
		time.Sleep(time.Second / 3)
		get(path, one, home, 400)
		get(path, one, home, 429)
		time.Sleep(time.Second)
		for range 3 {
			get(path, one, home, 400)
		}
		get(path, one, home, 429)
	})
}

// However many callers there are, the limiter stays bounded, forgets nobody
// who is at the limit, and recovers.
func TestRequestRateWithManyCallers(t *testing.T) {
	l := api.NewLimiter(1)
	now := time.Now()
	const crowd = 10_000
	for i := range crowd {
		if wait := l.Take(fmt.Sprint(i), now); wait != 0 {
			t.Fatalf("caller %d is to wait %v", i, wait)
		}
	}
	if wait := l.Take("first beyond", now); wait != 0 {
		t.Errorf("the first caller beyond is to wait %v", wait)
	}
	if wait := l.Take("second beyond", now); wait != time.Second {
		t.Errorf("the second caller beyond is to wait %v, want 1 s: they share one rate", wait)
	}
	if wait := l.Take("7", now); wait != time.Second {
		t.Errorf("a caller at the limit is to wait %v, want 1 s", wait)
	}
	if n := l.Callers(); n != crowd {
		t.Errorf("%d callers are kept, want %d", n, crowd)
	}
	later := now.Add(2 * time.Second)
	if wait := l.Take("third beyond", later); wait != 0 || l.Callers() != 1 {
		t.Errorf("later: wait %v and %d callers kept, want 0 and 1", wait, l.Callers())
	}
}
