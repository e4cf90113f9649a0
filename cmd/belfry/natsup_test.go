package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"belfry/internal/logtest"
	"belfry/internal/natstest"
	"belfry/internal/porttest"
	"belfry/internal/waittest"
)

// starts begins a start that waits, and returns how it ends.
func starts(t *testing.T, cfg Config, log *logtest.Log) (*Server, context.CancelFunc, <-chan error) {
	t.Helper()
	s := New(cfg, log.Logger())
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	ended := make(chan error, 1)
	go func() { ended <- s.Start(ctx) }()
	t.Cleanup(func() { _ = s.Stop(context.WithoutCancel(t.Context())) })
	waittest.Eventually(t, func() string {
		if s.Addr() == "" {
			return "the API does not listen"
		}
		return ""
	})
	return s, cancel, ended
}

// notReady waits until /readyz says all of that.
func notReady(t *testing.T, s *Server, words ...string) {
	t.Helper()
	waittest.Eventually(t, func() string {
		status, body := call(t, s, http.MethodGet, "/readyz", "")
		for _, w := range words {
			if status != http.StatusServiceUnavailable || !strings.Contains(body, "E304") || !strings.Contains(body, w) {
				return fmt.Sprintf("/readyz: %d %s, want 503 E304 and %q", status, body, w)
			}
		}
		return ""
	})
}

// A NATS server that comes up after Belfry is waited for, and Belfry says so.
func TestStartWaitsForNATS(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	at := strings.TrimPrefix(ns.ClientURL(), "nats://")
	ns.Stop()
	log := &logtest.Log{}
	s, _, ended := starts(t, Config{Listen: "127.0.0.1:0", NATSURL: "nats://" + at}, log)
	notReady(t, s, "is not up yet", "nobody listens there", at)
	for _, tt := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/healthz", 200, `"ok"`}, {"HEAD", "/healthz", 200, ""}, {"POST", "/healthz", 503, "E302"},
		{"GET", "/job/db/coll/x", 503, "E302"}, {"POST", "/job/db/coll", 503, "E302"}, {"GET", "/metrics", 503, "E302"},
	} {
		if status, body := call(t, s, tt.method, tt.path, ""); status != tt.status || !strings.Contains(body, tt.code) {
			t.Errorf("%s %s during the start: %d %s, want %d %s", tt.method, tt.path, status, body, tt.status, tt.code)
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("Start ended with %v", err)
	default:
	}
	if !strings.Contains(log.String(), "NATS is not up yet; the start waits for it") {
		t.Errorf("the log says nothing of it:\n%s", log)
	}
	ns.Restart()
	if err := <-ended; err != nil {
		t.Fatalf("Start: %v", err)
	}
	waittest.Eventually(t, func() string {
		if status, body := call(t, s, http.MethodGet, "/readyz", ""); status != http.StatusOK {
			return body
		}
		return ""
	})
}

// JetStream is waited for, too, since a server may not have it yet.
func TestStartWaitsForJetStream(t *testing.T) {
	t.Parallel()
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(ns.Shutdown)
	if !ns.ReadyForConnections(patience) {
		t.Fatal("the server is not ready")
	}
	s, cancel, ended := starts(t, Config{Listen: "127.0.0.1:0", NATSURL: ns.ClientURL()}, &logtest.Log{})
	notReady(t, s, "JetStream is turned off", "--jetstream")
	cancel()
	if err := <-ended; err == nil {
		t.Error("Start without JetStream came to its end")
	}
}

// A signal ends a start that waits at once, and is no failure.
func TestSignalWhileTheStartWaits(t *testing.T) {
	t.Parallel()
	at := porttest.Unused(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, url := range []string{at, silent.Addr().String()} {
		var log logtest.Log
		cmd := program(t, nil, "serve", "--listen", "127.0.0.1:0", "--nats-url", "nats://"+url)
		cmd.Stderr = &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waittest.Eventually(t, func() string {
			if !strings.Contains(log.String(), "NATS is not up yet") {
				return "it does not wait:\n" + log.String()
			}
			return ""
		})
		begun := time.Now()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("at %s: %v, want exit code 0:\n%s", url, err, &log)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("at %s it took %v to end", url, took)
		}
	}
}

// An account that wants to know how much it is to hold gets it from a flag, and
// without it the start says which.
func TestMaxBytesRequired(t *testing.T) {
	t.Parallel()
	account, accountID := newKey(t, nkeys.CreateAccount)
	claims := withJetStream(accountID)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: 1 << 30, Streams: -1, Consumer: -1, MaxBytesRequired: true}
	ns := operatorServer(t, claims)
	creds := inFile(t, "belfry.creds", userOf(t, account))
	cfg := Config{Listen: "127.0.0.1:0", NATSURL: ns.ClientURL(), NATSCreds: creds}
	err := newServer(cfg).Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "max_bytes_required") || !strings.Contains(err.Error(), "--max-bytes") {
		t.Fatalf("Start without --max-bytes: %v, want what to do", err)
	}
	if code := serveError(err); code == nil || !strings.Contains(fmt.Sprintf("%v", code), "--max-bytes") {
		t.Errorf("it ends with %v", code)
	}
	cfg.MaxBytes = 1 << 30
	s := startServer(t, cfg)
	if status, body := call(t, s, http.MethodPost, "/route/db", `{"id":"r","type":"NATS"}`); status != http.StatusOK {
		t.Errorf("POST /route/db: %d %s, want 200", status, body)
	}
	if _, err := os.Stat(creds); err != nil {
		t.Fatal(err)
	}
}

// A server that begins with TLS says nothing to a client that does not, and the start
// says which flag it wants.
func TestStartWithoutTLSFirst(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	log := &logtest.Log{}
	s, cancel, ended := starts(t, Config{Listen: "127.0.0.1:0", NATSURL: "nats://" + silent.Addr().String()}, log)
	notReady(t, s, "is not up yet", "--tlsfirst")
	if !strings.Contains(log.String(), "--tlsfirst") {
		t.Errorf("the log does not name the flag:\n%s", log)
	}
	cancel()
	<-ended
}

// A server that refuses Belfry ends the start, wherever in the list it stands.
func TestStartIsRefusedBesideServersThatAreDown(t *testing.T) {
	t.Parallel()
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, Username: "u", Password: "p", NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(ns.Shutdown)
	if !ns.ReadyForConnections(patience) {
		t.Fatal("the server is not ready")
	}
	at := ns.Addr().String()
	for range 5 { // the client shuffles the list
		s := newServer(Config{NATSURL: "nats://wrong:hunter2@" + at + ",nats://" + porttest.Unused(t)})
		_, err := openAny(func(more ...nats.Option) (*nats.Conn, error) { return s.openURL(more...) })
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("got %v, want %v", err, nats.ErrAuthorization)
		}
	}
	cfg := Config{Listen: "127.0.0.1:0", NATSURL: "nats://wrong:hunter2@" + at + ",nats://" + porttest.Unused(t)}
	if err := newServer(cfg).Start(t.Context()); err == nil || !errors.Is(err, nats.ErrAuthorization) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("Start: %v, want %v", err, nats.ErrAuthorization)
	}
}
