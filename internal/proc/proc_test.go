package proc_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"belfry/internal/proc"
)

// asChild makes the test binary behave as a server on the address in it. The value
// "broken" makes it end by itself, and "serving" makes it only print its arguments.
const asChild = "PROC_TEST_CHILD"

func TestMain(m *testing.M) {
	switch addr := os.Getenv(asChild); addr {
	case "":
		os.Exit(m.Run())
	case "broken":
		fmt.Println("no such thing")
		os.Exit(3)
	case "serving":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		for _, line := range os.Args[1:] {
			fmt.Fprintln(os.Stderr, line)
		}
		<-stop
	default:
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			panic(err)
		}
		go http.Serve(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		<-stop
	}
}

func child(t *testing.T, as string) *proc.Process {
	t.Helper()
	t.Setenv(asChild, as)
	return &proc.Process{Name: "child", Path: os.Args[0], Log: filepath.Join(t.TempDir(), "log"), Up: "http://" + as + "/"}
}

func TestProcess(t *testing.T) {
	addrs, err := proc.FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	p := child(t, addrs[0])
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	must("Stop before Start", p.Stop())
	if err := p.Kill(); err == nil {
		t.Error("Kill before Start: no error, want one")
	}
	for _, end := range []struct {
		name string
		do   func() error
	}{{"Kill", p.Kill}, {"Stop", p.Stop}} {
		must("Start", p.Start())
		if err := p.Start(); err == nil {
			t.Error("second Start: no error, want one")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		must("WaitUp", p.WaitUp(ctx))
		must("Pause", p.Pause())
		for p.IsUp(ctx) && ctx.Err() == nil {
			// The signal takes a moment to reach every thread.
		}
		if err := ctx.Err(); err != nil {
			t.Errorf("a paused process still answers: %v", err)
		}
		must("Resume", p.Resume())
		must("WaitUp", p.WaitUp(ctx))
		cancel()
		must(end.name, end.do())
		if p.Running() {
			t.Errorf("it runs after %s", end.name)
		}
	}
}

func TestProcessThatFails(t *testing.T) {
	p := child(t, "broken")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.WaitUp(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("WaitUp: %v, want an error with exit status 3", err)
	}
	if log, err := os.ReadFile(p.Log); err != nil || string(log) != "no such thing\n" {
		t.Errorf("the log is %q (%v), want what it said", log, err)
	}
}

// The server reads its configuration as intended.
func TestNATSServerConfig(t *testing.T) {
	dir := t.TempDir()
	servers, err := proc.NATSCluster(3, dir)
	if err != nil {
		t.Fatal(err)
	}
	s := servers[1]
	s.Advertise = "127.0.0.1:1"
	p, err := s.Process("nats-server", dir)
	if err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(p.Args[1])
	if err != nil {
		t.Fatal(err)
	}
	got := []any{opts.ServerName, fmt.Sprintf("%s:%d", opts.Host, opts.Port), opts.StoreDir, opts.SyncAlways,
		fmt.Sprintf("%s:%d", opts.Cluster.Host, opts.Cluster.Port), len(opts.Routes), opts.Cluster.NoAdvertise}
	want := []any{"n2", s.Client, filepath.Join(dir, "n2"), true, s.Cluster, 3, true}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the server reads %v, want %v, in\n%s", got, want, s.Config())
	}
}

// No address is handed out twice, even to a later caller: the first may not listen
// yet.
func TestFreeAddrs(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		addrs, err := proc.FreeAddrs(5)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addrs {
			if seen[a] {
				t.Fatalf("%s is handed out twice", a)
			}
			seen[a] = true
		}
	}
}
