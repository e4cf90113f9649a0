package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// get returns the answer to a GET.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	rsp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	body, err := io.ReadAll(rsp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rsp.StatusCode, string(body)
}

func TestAdminListener(t *testing.T) {
	t.Parallel()
	cfg := freePorts(t)
	cfg.AdminListen = "127.0.0.1:0"
	s := startServer(t, cfg)
	admin := "http://" + s.AdminAddr()
	for _, tt := range []struct {
		path string
		want string
	}{
		{"/debug/pprof/", "goroutine"},
		{"/debug/pprof/goroutine?debug=1", "goroutine profile:"},
		{"/debug/pprof/profile?seconds=1", "\x1f\x8b"}, // gzip
		{"/metrics", `belfry_build_info{`},
	} {
		if status, body := get(t, admin+tt.path); status != http.StatusOK || !strings.Contains(body, tt.want) {
			t.Errorf("GET %s: %d, want 200 with %q in %.200q", tt.path, status, tt.want, body)
		}
	}
	if status, _ := get(t, admin+"/readyz"); status != http.StatusNotFound {
		t.Errorf("GET /readyz of the admin listener: %d, want 404", status)
	}
	if status, _ := get(t, "http://"+s.Addr()+"/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("GET /debug/pprof/ of the API: %d, want 404", status)
	}
	// A profile under way delays no stop.
	profiling := make(chan struct{})
	go func() {
		defer close(profiling)
		if rsp, err := http.Get(admin + "/debug/pprof/trace?seconds=25"); err == nil {
			rsp.Body.Close()
		}
	}()
	begun := time.Now()
	if err := s.Stop(t.Context()); err != nil || time.Since(begun) > 20*time.Second {
		t.Errorf("Stop: %v after %v, want nil within 20 s", err, time.Since(begun))
	}
	if conn, err := net.Dial("tcp", s.AdminAddr()); err == nil {
		conn.Close()
		t.Errorf("something listens on %s after Stop", s.AdminAddr())
	}
	<-profiling
}

func TestNoAdminListener(t *testing.T) {
	t.Parallel()
	if addr := startServer(t, freePorts(t)).AdminAddr(); addr != "" {
		t.Errorf("the admin listener is at %q, want none", addr)
	}
}

// Nothing is for web pages: not by a name of their own that leads here, and not
// across origins.
func TestNothingForPages(t *testing.T) {
	t.Parallel()
	cfg := freePorts(t)
	cfg.AdminListen = "127.0.0.1:0"
	s := startServer(t, cfg)
	for _, tt := range []struct{ addr, path string }{
		{s.Addr(), "/backup"},
		{s.Addr(), "/db"},
		{s.AdminAddr(), "/metrics"},
		{s.AdminAddr(), "/debug/pprof/cmdline"},
	} {
		_, port, err := net.SplitHostPort(tt.addr)
		if err != nil {
			t.Fatal(err)
		}
		for host, want := range map[string]int{"rebound.example:" + port: 403, "localhost:" + port: 200} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+tt.addr+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			rsp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(rsp.Body)
			rsp.Body.Close()
			if err != nil || rsp.StatusCode != want || (want == 403) != strings.Contains(string(body), `"code":"E412"`) {
				t.Errorf("GET %s for the host %s: %d %.200q, %v, want %d", tt.path, host, rsp.StatusCode, body, err, want)
			}
		}
	}
	// Nor can it have it send what a form may.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addr()+"/cancel/games", strings.NewReader(`{"all":true}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	if body, err := io.ReadAll(rsp.Body); err != nil || rsp.StatusCode != 403 || !strings.Contains(string(body), `"code":"E411"`) {
		t.Errorf("POST /cancel for a page: %d %s, %v, want 403 and E411", rsp.StatusCode, body, err)
	}
}
