package zoo_test

import (
	"fmt"
	"net/http"
	"os"
	"syscall"
	"testing"

	"belfry/delivery"
	"belfry/internal/job"
)

// This process has no file left to open: for an address, a name, and TLS. Tries
// are put off, and use no attempt. Afterwards the webhooks are delivered.
func TestNoFilesLeftForWebhooks(t *testing.T) {
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	port, tlsPort := webServer(t, "127.0.0.1:0", nil, handler), webServer(t, "127.0.0.1:0", []string{"h2"}, handler)
	n := &names{}
	n.set("named.example", "127.0.0.1")
	_, trusted := identity()
	h := newHouse(t, delivery.Config{Resolver: n.resolver(t), RootCAs: trusted})
	routes := map[string]job.RouteKey{}
	for name, url := range map[string]string{
		"address": local("http", port, "/"), "name": fmt.Sprintf("http://named.example:%d/", port), "tls": local("https", tlsPort, "/"),
	} {
		routes[name] = h.route(name, url, job.Policy{Retry: job.RetryPolicy{MaxAttempts: 1}})
	}
	restore := noFilesLeft(t)
	for _, key := range routes {
		h.fire(key, 100)
	}
	for name, key := range routes {
		// A fire that waits looks at its route again.
		h.until("two looks at the route "+name, func() bool { return h.looks[key] >= 2 })
		if n := h.count(key); n > 0 {
			t.Errorf("%s: a try has a result that this machine could not make", name)
		}
	}
	restore()
	for name, key := range routes {
		if results, attempts := h.await(key, 1); results[0] != delivered || len(attempts) != 1 {
			t.Errorf("%s, afterwards: got %+v and the attempts %+v, want it delivered by one", name, results[0], attempts)
		}
	}
}

// noFilesLeft lowers the limit of open files to those that are open.
func noFilesLeft(t *testing.T) (restore func()) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	next := uint64(f.Fd()) // the lowest that is free
	f.Close()
	restore = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(restore)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: next, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	return restore
}
