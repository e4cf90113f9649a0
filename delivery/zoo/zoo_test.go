// Package zoo_test has receivers as they are found outside: each is called by one
// route, while another route delivers to a receiver as it should be.
package zoo_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"belfry/delivery"
	"belfry/internal/job"
)

const (
	// visits is how many webhooks the quiet route delivers, without the animal
	// and with it.
	visits = 100

	// atOnce is how many tries of the animal are under way meanwhile.
	atOnce = 8
)

// animal is a receiver that misbehaves.
type animal struct {
	url   string
	quiet string // where the other route leads; empty is a server of its own
	names *names
	body  int        // bytes of a webhook
	of    job.Policy // of its route
	age   time.Duration

	// release lets go of the tries that the animal holds; nil means that it holds
	// none. None of them has a result before that.
	release func()

	// want is the result of each fire.
	want job.Result
}

// visit makes the two routes deliver side by side, after the quiet one did so beside
// a well-behaved receiver with the same load. Every webhook of the quiet route
// arrives at its first try, while the other's are held. Every webhook of the
// animal's ends as it should, also at its first try. The quiet route's times are
// reported and not judged: other work on the machine would decide.
func visit(t *testing.T, a animal) (attempts []job.Attempt) {
	t.Helper()
	if a.names == nil {
		a.names = &names{}
	}
	if a.quiet == "" {
		a.quiet = tame(t)
	}
	_, trusted := identity()
	h := newHouse(t, delivery.Config{Resolver: a.names.resolver(t), RootCAs: trusted, ConnectionAge: a.age})
	quiet := h.route("quiet", a.quiet, job.Policy{})
	a.of.Concurrency = atOnce
	loud := h.route("loud", a.url, a.of)

	other := h.route("tame", a.quiet, job.Policy{Concurrency: atOnce})
	alone, tamed := h.measure(t, quiet, other, a.body, atOnce)
	h.await(other, tamed)
	beside, sent := h.measure(t, quiet, loud, a.body, atOnce)
	if a.release != nil {
		if n := h.count(loud); n > 0 {
			t.Errorf("%d tries have ended that are held", n)
		}
		a.release()
	}
	results, attempts := h.await(loud, sent)
	for i, got := range results {
		if got.Status == job.Retrying {
			got.RetryAt = 0
		}
		if got != a.want {
			t.Errorf("result %d of %d: got %+v, want %+v", i+1, sent, got, a.want)
			break
		}
	}
	if len(attempts) != sent {
		t.Errorf("%d webhooks took %d attempts", sent, len(attempts))
	}
	compare(t, alone, beside)
	return attempts
}

// measure makes a route deliver in peace. Meanwhile the other route has as many tries
// under way as it may; sent is the total.
func (h *house) measure(t *testing.T, key, other job.RouteKey, size, most int) (took []time.Duration, sent int) {
	t.Helper()
	feed := func() {
		if sent-h.count(other) < most {
			h.fire(other, size)
			sent++
		}
	}
	for range most {
		feed()
	}
	return h.pace(t, key, visits, feed), sent
}

// pace delivers webhooks of a route one after the other and returns how long each
// took. Every one arrives at its first try. before is called before each.
func (h *house) pace(t *testing.T, key job.RouteKey, webhooks int, before func()) (took []time.Duration) {
	t.Helper()
	had := h.count(key)
	for n := had; n < had+webhooks; n++ {
		before()
		began := time.Now()
		h.fire(key, 100)
		if results, attempts := h.await(key, n+1); results[n] != delivered || len(attempts) != n+1 {
			t.Fatalf("webhook %d of the quiet route: got %+v after %d attempts, want it delivered by the first", n+1, results[n], len(attempts))
		}
		took = append(took, time.Since(began))
	}
	return took
}

// compare reports how long the quiet route's webhooks took.
func compare(t *testing.T, alone, beside []time.Duration) {
	t.Helper()
	p99 := func(took []time.Duration) time.Duration {
		slices.Sort(took)
		return took[len(took)*99/100].Round(time.Microsecond)
	}
	a, b := p99(alone), p99(beside)
	t.Logf("p99 of the quiet route: without the animal %v, beside it %v, ratio %.2f", a, b, float64(b)/float64(a))
}

// tame is a receiver that behaves well.
func tame(t *testing.T) (url string) {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	t.Cleanup(srv.Close)
	return srv.URL + "/quiet"
}

func idle() {}

// net/http and the library for HTTP/2 write lines about each bad frame.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	os.Exit(m.Run())
}

func local(scheme string, port int, path string) string {
	return fmt.Sprintf("%s://127.0.0.1:%d%s", scheme, port, path)
}

var (
	delivered = job.Result{Status: job.Delivered}
	failed    = func(detail string) job.Result {
		return job.Result{Status: job.Retrying, Reason: job.ReasonFailed, Detail: detail}
	}
)

// Some addresses of a name are dead, and one is not (golang/go#9801). Each try reaches
// the live one within its own time.
func TestDeadAddressBesideALiveOne(t *testing.T) {
	for _, tt := range []struct {
		name    string
		dead    []string // drop who calls
		addrs   string   // of the name
		timeout time.Duration
	}{
		{"dead first", []string{"127.0.0.2"}, "127.0.0.2 127.0.0.1", 0},
		{"dead last", []string{"127.0.0.2"}, "127.0.0.1 127.0.0.2", 0},
		{"refused first", nil, "127.0.0.2 127.0.0.3 127.0.0.1", 0},
		{"must not be called", nil, "169.254.169.254 0.0.0.0 127.0.0.1", 0},
		{"many dead, little time", []string{"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"},
			"127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5 127.0.0.1", 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := serve(t, "127.0.0.1:0", nil, http1(false, func(_, _ int, c net.Conn, _ *http.Request) bool {
				_, _ = io.WriteString(c, strings.Replace(ok1, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
				return false
			}))
			for _, ip := range tt.dead {
				blackhole(t, ip, port)
			}
			n := &names{}
			n.set("half.example", tt.addrs)
			visit(t, animal{url: fmt.Sprintf("http://half.example:%d/", port), names: n, of: job.Policy{Timeout: tt.timeout}, want: delivered})
		})
	}
}
