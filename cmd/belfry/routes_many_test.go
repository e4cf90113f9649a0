package main

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/internal/natstest"
)

// gauge returns a metric of the process that has no labels.
func (p *running) gauge(t *testing.T, name string) float64 {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(p.must(t, http.MethodGet, "/metrics", ""))
	if found == nil {
		t.Fatalf("the metrics have no %s", name)
	}
	v, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// inUse returns the bytes that the process has on its heap and its stacks, after a
// collection.
func (p *running) inUse(t *testing.T) float64 {
	t.Helper()
	for range 2 {
		rsp, err := http.Get(p.admin + "/debug/pprof/heap?gc=1")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, rsp.Body)
		rsp.Body.Close()
	}
	return p.gauge(t, "go_memstats_heap_alloc_bytes") + p.gauge(t, "go_memstats_stack_inuse_bytes")
}

// idles returns the processor time of a process without work, in percent of a processor.
func (p *running) idles(t *testing.T) float64 {
	t.Helper()
	time.Sleep(10 * time.Second) // what was begun before comes to its end
	const during = 30 * time.Second
	before := p.cpu(t)
	time.Sleep(during) // what is measured
	return 100 * (p.cpu(t) - before).Seconds() / during.Seconds()
}

// createRoutes creates routes of type REST that lead to url.
func (p *running) createRoutes(t *testing.T, n int, url string) {
	t.Helper()
	began := time.Now()
	errorf := few(t)
	inParallel(n, 16, func(i int) {
		body := fmt.Sprintf(`{"id":"r%d","type":"REST","webhook_url":%q}`, i, url)
		if a, _, err := p.insist(http.MethodPost, "/route/db", body); err != nil || !a.ok() {
			errorf("POST of route %d: %v (%v), want 200", i, a, err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	t.Logf("created %d routes in %v", n, time.Since(began).Round(time.Millisecond))
}

// Routes with nothing to deliver cost little memory, no goroutines and no
// processor time, on an external server, where everything in the process is
// Belfry's own.
func TestManyIdleRoutesCostLittle(t *testing.T) {
	besideOthers(t)
	plays(t)
	routes := 200
	if *full {
		routes = 10_000
	}
	p := startServing(t, "--nats-url", natstest.Start(t).ClientURL(), "--partitions", "1", "--admin-listen", "127.0.0.1:0")
	in := newReceiver(t, nil)
	without := 0.0
	if *full {
		without = p.idles(t)
	}
	memory, goroutines := p.inUse(t), p.gauge(t, "go_goroutines")
	p.createRoutes(t, routes, in.url)
	const each = 50 << 10
	var perRoute, more float64
	amiss := func() string {
		perRoute, more = (p.inUse(t)-memory)/float64(routes), p.gauge(t, "go_goroutines")-goroutines
		if more > 64 || *full && perRoute > each { // few routes share what all have in common
			return fmt.Sprintf("with %d routes more there are %.0f goroutines more, want at most 64, and %.0f bytes for each, want at most %d", routes, more, perRoute, each)
		}
		return ""
	}
	eventuallyStill(t, amiss)
	t.Logf("each route takes %.0f bytes, and all of them %.0f goroutines", perRoute, more)

	if *full {
		idle := p.idles(t)
		t.Logf("idle, it takes %.2f %% of a processor, and %.2f %% without routes", idle, without)
		if idle > without+1 {
			t.Errorf("idle, it takes %.2f %% of a processor with routes and %.2f %% without", idle, without)
		}
	}
	last := fmt.Sprintf("r%d", routes-1)
	p.create(t, []plannedJob{{id: "one", due: time.Now(), meta: `1`}}, last)
	p.becomes(t, "/job/db/coll/one", job.Delivered)
	stopsCleanly(t, p)
}

// eventuallyStill gives what was under way time to come to rest.
func eventuallyStill(t *testing.T, look func() (amiss string)) {
	t.Helper()
	amiss := look()
	for deadline := time.Now().Add(patience); amiss != "" && time.Now().Before(deadline); amiss = look() {
		time.Sleep(100 * time.Millisecond) // between two looks
	}
	if amiss != "" {
		t.Error(amiss)
	}
}

// stopsCleanly has the process end by SIGTERM.
func stopsCleanly(t *testing.T, p *running) {
	t.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	log := p.wait(t)
	if got := exitCode(p.err); got != 0 || strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("it ended with exit code %d, want 0 and no errors:\n%.4096s", got, log)
	}
	t.Logf("it stopped in %v", time.Since(began).Round(time.Millisecond))
}

// The embedded server bears them, too: it is made, stopped and started with them.
func TestManyRoutesOnTheEmbeddedServer(t *testing.T) {
	besideOthers(t)
	plays(t)
	routes := 200
	if *full {
		routes = 10_000
	}
	data := t.TempDir()
	p := startProgram(t, data)
	in := newReceiver(t, nil)
	without := 0.0
	if *full {
		without = p.idles(t)
	}
	before := p.resident(t)
	p.createRoutes(t, routes, in.url)
	for round := range 2 {
		if *full {
			idle := p.idles(t)
			t.Logf("round %d: %.0f MiB resident, %.0f MiB more than without routes; idle it takes %.2f %% of a processor, and %.2f %% without routes", round,
				float64(p.resident(t))/(1<<20), float64(p.resident(t)-before)/(1<<20), idle, without)
		}
		id := fmt.Sprint("job", round)
		p.create(t, []plannedJob{{id: id, due: time.Now(), meta: `1`}}, fmt.Sprintf("r%d", routes/2+round))
		p.becomes(t, "/job/db/coll/"+id, job.Delivered)
		stopsCleanly(t, p)
		if round == 0 {
			began := time.Now()
			p = startProgram(t, data)
			t.Logf("it started in %v", time.Since(began).Round(time.Millisecond))
		}
	}
}
