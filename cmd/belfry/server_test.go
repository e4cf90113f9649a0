package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"belfry/internal/natstest"
)

// Two servers run in one process.
func TestTwoServersInOneProcess(t *testing.T) {
	t.Parallel()
	a, b := startServer(t, freePorts(t)), startServer(t, freePorts(t))
	if a.Addr() == b.Addr() || a.NATSURL() == b.NATSURL() {
		t.Fatalf("two servers at %s and %s, NATS at %s and %s", a.Addr(), b.Addr(), a.NATSURL(), b.NATSURL())
	}
	const route = `{"id":"r","type":"NATS"}`
	if status, body := call(t, a, http.MethodPost, "/route/db", route); status != http.StatusOK {
		t.Errorf("POST /route/db: %d %s, want 200", status, body)
	}
	if status, body := call(t, a, http.MethodGet, "/route/db/r", ""); status != http.StatusOK {
		t.Errorf("GET /route/db/r: %d %s, want 200", status, body)
	}
	if status, body := call(t, b, http.MethodGet, "/route/db/r", ""); status != http.StatusBadRequest {
		t.Errorf("GET /route/db/r at the other server: %d %s, want 400", status, body)
	}
	if names := streamNames(t, a.NATSURL()); !slices.Contains(names, "FIRES") {
		t.Errorf("a NATS client sees the streams %v, want FIRES among them", names)
	}
}

func TestServerRunsOnce(t *testing.T) {
	t.Parallel()
	s := newServer(freePorts(t))
	if s.Addr() != "" || s.NATSURL() != "" {
		t.Errorf("before Start: at %q and %q, want nowhere", s.Addr(), s.NATSURL())
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatalf("Start: %v", err)
	}
	if err := s.Start(t.Context()); !errors.Is(err, errStarted) {
		t.Errorf("second Start: %v, want %v", err, errStarted)
	}
	for range 2 {
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("Stop: %v", err)
		}
	}
	if err := s.Start(t.Context()); !errors.Is(err, errStopped) {
		t.Errorf("Start after Stop: %v, want %v", err, errStopped)
	}
	for _, addr := range []string{s.Addr(), strings.TrimPrefix(s.NATSURL(), "nats://")} {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			t.Errorf("something listens on %s after Stop", addr)
		}
	}
	select {
	case err := <-s.Failed():
		t.Errorf("Failed after a clean stop: %v", err)
	default:
	}
}

func TestStopBeforeStart(t *testing.T) {
	t.Parallel()
	s := newServer(freePorts(t))
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("Stop before Start: %v", err)
	}
	if err := s.Start(t.Context()); !errors.Is(err, errStopped) {
		t.Errorf("Start after Stop: %v, want %v", err, errStopped)
	}
}

func TestRestartOnTheSameData(t *testing.T) {
	t.Parallel()
	cfg := freePorts(t)
	const route = `{"id":"r","type":"NATS"}`
	first := newServer(cfg)
	if err := first.Start(t.Context()); err != nil {
		t.Fatalf("Start: %v", err)
	}
	if status, body := call(t, first, http.MethodPost, "/route/db", route); status != http.StatusOK {
		t.Errorf("POST /route/db: %d %s, want 200", status, body)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Fatalf("Stop: %v", err)
	}
	second := startServer(t, cfg)
	if status, body := call(t, second, http.MethodGet, "/route/db/r", ""); status != http.StatusOK {
		t.Errorf("GET /route/db/r after a restart: %d %s, want 200", status, body)
	}
}

// A start that is refused names what is wrong and touches nothing.
func TestStartRefused(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := ":" + strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"API port taken", func(c *Config) { c.Listen = "127.0.0.1" + port }, "couldn't listen for the API (--listen): listen tcp 127.0.0.1" + port},
		{"NATS port taken", func(c *Config) { c.NATSListen = port }, "couldn't listen for NATS clients (--nats-listen): listen tcp 127.0.0.1" + port},
		{"API everywhere", func(c *Config) { c.Listen = ":0" }, "add --insecure"},
		{"admin everywhere", func(c *Config) { c.AdminListen = ":0"; c.Insecure = true }, `--admin-listen ":0": not a loopback address`},
		{"admin port taken", func(c *Config) { c.AdminListen = "127.0.0.1" + port }, "couldn't listen for administrators (--admin-listen): listen tcp 127.0.0.1" + port},
		{"NATS everywhere", func(c *Config) { c.NATSListen = "0.0.0.0:0" }, "add --insecure"},
		{"data under a file", func(c *Config) { c.Data = filepath.Join(file, "data") }, `couldn't make the data folder "` + file},
		{"no such nats.conf", func(c *Config) { c.NATSConfig = "none.conf" }, `--nats-config "none.conf"`},
		{"bad value", func(c *Config) { c.LogFormat = "xml" }, "--log-format: text and json are accepted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := freePorts(t)
			cfg.Listen = freePort(t) // nobody else gets it meanwhile
			folder := cfg.Data
			tc.change(&cfg)
			s := newServer(cfg)
			err := s.Start(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Start: %v, want %q in the error", err, tc.want)
			}
			if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the data folder was touched: %v", err)
			}
			if addr := s.Addr(); addr != "" {
				if l, err := net.Listen("tcp", addr); err != nil {
					t.Errorf("the API port is still taken: %v", err)
				} else {
					l.Close()
				}
			}
			if err := s.Stop(t.Context()); err != nil {
				t.Errorf("Stop: %v", err)
			}
		})
	}
}

func TestSecondServerOnTheSameData(t *testing.T) {
	t.Parallel()
	cfg := freePorts(t)
	startServer(t, cfg)
	if err := newServer(cfg).Start(t.Context()); !errors.Is(err, errDataInUse) || !strings.Contains(err.Error(), cfg.Data) {
		t.Errorf("Start on the same data: %v, want %v with the folder %s", err, errDataInUse, cfg.Data)
	}
}

func TestStartCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cfg := freePorts(t)
	if err := newServer(cfg).Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Start with a cancelled context: %v, want %v", err, context.Canceled)
	}
	startServer(t, cfg) // nothing was left behind
}

func TestExistingServer(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	data := filepath.Join(t.TempDir(), "data")
	s := startServer(t, Config{Listen: "127.0.0.1:0", NATSURL: ns.ClientURL(), Data: data})
	if s.NATSURL() != ns.ClientURL() {
		t.Errorf("NATSURL is %q, want %q", s.NATSURL(), ns.ClientURL())
	}
	if names := streamNames(t, ns.ClientURL()); !slices.Contains(names, "FIRES") {
		t.Errorf("the existing server has the streams %v, want FIRES among them", names)
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data folder of the embedded server was touched: %v", err)
	}
}

func TestExistingServerRefused(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	for _, tc := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"nobody there", Config{NATSURL: "nats://u:hunter2@127.0.0.1:1, nats://hunter2@localhost:1"}, "--nats-url at 127.0.0.1:1,localhost:1: "},
		{"payload too small", Config{NATSURL: ns.ClientURL(), MaxMeta: 2 << 20}, "or --max-meta at most 983040"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.cfg.Listen = "127.0.0.1:0"
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // one that is not there is waited for
			defer cancel()
			err := newServer(tc.cfg).Start(ctx)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Start: %v, want %q in the error and no password", err, tc.want)
			}
		})
	}
}
