package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"belfry/internal/waittest"
)

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
		if status, body := request(t, http.MethodGet, admin+tt.path, ""); status != http.StatusOK || !strings.Contains(body, tt.want) {
			t.Errorf("GET %s: %d, want 200 with %q in %.200q", tt.path, status, tt.want, body)
		}
	}
	if status, _ := request(t, http.MethodGet, admin+"/readyz", ""); status != http.StatusNotFound {
		t.Errorf("GET /readyz of the admin listener: %d, want 404", status)
	}
	if status, _ := call(t, s, http.MethodGet, "/debug/pprof/", ""); status != http.StatusNotFound {
		t.Errorf("GET /debug/pprof/ of the API: %d, want 404", status)
	}
	// A profile under way delays no stop.
	profiling := make(chan error, 1)
	go func() {
		rsp, err := http.Get(admin + "/debug/pprof/trace?seconds=25")
		if err == nil { // the answer goes on for as long as somebody reads it
			_, err = io.Copy(io.Discard, rsp.Body)
			rsp.Body.Close()
		}
		profiling <- err
	}()
	waittest.Eventually(t, func() string {
		select {
		case err := <-profiling:
			t.Fatalf("GET of the trace: over before the stop, %v", err)
		default:
		}
		if _, body := request(t, http.MethodGet, admin+"/debug/pprof/goroutine?debug=1", ""); !strings.Contains(body, "pprof.Trace+") {
			return "no handler makes a trace"
		}
		return ""
	})
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

// No web page gets anything: not by a name of its own that leads here, and not across
// origins.
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
			status, body := request(t, http.MethodGet, "http://"+tt.addr+tt.path, "", func(req *http.Request) { req.Host = host })
			if status != want || (want == 403) != strings.Contains(body, `"code":"E412"`) {
				t.Errorf("GET %s for the host %s: %d %.200q, want %d", tt.path, host, status, body, want)
			}
		}
	}
	// A web page cannot send the kind of request that a form may send.
	status, body := call(t, s, http.MethodPost, "/cancel/games", `{"all":true}`, func(req *http.Request) {
		req.Header.Set("Content-Type", "text/plain")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
	})
	if status != 403 || !strings.Contains(body, `"code":"E411"`) {
		t.Errorf("POST /cancel for a page: %d %s, want 403 and E411", status, body)
	}
}
