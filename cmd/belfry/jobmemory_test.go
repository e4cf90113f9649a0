package main

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/internal/proctest"
	"belfry/internal/waittest"
)

func TestDefaultJobMemory(t *testing.T) {
	t.Parallel()
	const none = math.MaxInt64
	for _, c := range []struct{ limit, machine, want int64 }{
		{400 << 20, 64 << 30, 100 << 20},
		{32 << 20, 64 << 30, 16 << 20},
		{8 << 30, 64 << 30, 256 << 20},
		{none, 2 << 30, 128 << 20},
		{none, 64 << 30, 256 << 20},
		{none, 0, 256 << 20},
	} {
		if got := defaultJobMemory(c.limit, c.machine); got != c.want {
			t.Errorf("with a limit of %d on a machine of %d: %d, want %d", c.limit, c.machine, got, c.want)
		}
	}
	if got := jobMemory(17 << 20); got != 17<<20 {
		t.Errorf("17 MiB that are asked for are %d", got)
	}
}

// Many jobs of the largest meta come due at once, for a NATS and a REST route, in a
// process that may take little memory. All are delivered, the process takes not much
// more than its limit, and small jobs of another route arrive meanwhile.
func TestLargeJobsStayWithinMemory(t *testing.T) {
	const (
		limit = 300 // MiB
		most  = limit + limit/4
		n     = 90 // of each route
	)
	belfry := proctest.Belfry(t) // without the race detector, which takes memory of its own
	p := startCommand(t, func(cmd *exec.Cmd) {
		cmd.Path = belfry
		cmd.Env = append(cmd.Env, fmt.Sprintf("GOMEMLIMIT=%dMiB", limit))
	}, "--nats-listen", ":-1", "--data", t.TempDir())
	meta := `"` + strings.Repeat("x", 512<<10-2) + `"`

	var mu sync.Mutex
	came := map[string]int{}
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		bytes, _ := io.Copy(io.Discard, r.Body)
		mu.Lock()
		defer mu.Unlock()
		if came[r.Header.Get(job.HeaderJobID)]++; bytes != int64(len(meta)) {
			t.Errorf("a job came with %d bytes, want %d", bytes, len(meta))
		}
	}))
	defer hook.Close()
	p.must(t, http.MethodPost, "/route/db", fmt.Sprintf(`{"id":"rest","type":"REST","webhook_url":%q}`, hook.URL))
	p.must(t, http.MethodPost, "/route/db", `{"id":"nats","type":"NATS"}`)
	routes := []string{"rest", "nats"}
	for _, route := range routes {
		p.must(t, http.MethodPost, "/route/db/"+route+"/pause", "")
	}
	large := plannedJobs(2*n, time.Now(), 0)
	inParallel(len(large), 2, func(i int) {
		large[i].meta = meta
		if a, _, err := p.insist(http.MethodPost, "/job/db/large", large[i].body(routes[i%2])); err != nil || !a.ok() {
			t.Errorf("POST of a large job: %v (%v), want 200", a, err)
		}
	})
	t.Logf("created: at most %d MiB", p.peakMemory(t))
	small := newReceiver(t, nil)
	small.route(t, p, "small")

	for _, route := range routes {
		p.must(t, http.MethodPost, "/route/db/"+route+"/resume", "")
	}
	begin := time.Now()
	beside := plannedJobs(100, time.Now().Add(time.Second), 2*time.Second)
	for i := range beside {
		beside[i].id = "small-" + beside[i].id
	}
	p.createBulk(t, beside, "small")
	late := lateness(t, beside, small.waitFor(t, len(beside)))
	t.Logf("the small ones: p50 %v, p99 %v", late[len(late)/2], p99(late))
	for _, status := range []string{"scheduled", "firing"} {
		waittest.Eventually(t, func() (amiss string) {
			page := p.must(t, http.MethodGet, "/job/db/large?limit=1&status="+status, "")
			if strings.Contains(page, `"id"`) {
				return "a job is " + status
			}
			return ""
		})
	}
	t.Logf("fired in %v: at most %d MiB", time.Since(begin), p.peakMemory(t))
	if got := p.peakMemory(t); got > most {
		t.Errorf("the process took %d MiB, want at most %d", got, most)
	}
	mu.Lock()
	defer mu.Unlock()
	for i := 0; i < len(large); i += 2 {
		if times := came[large[i].id]; times != 1 {
			t.Errorf("job %s came %d times", large[i].id, times)
		}
	}
	if p99(late) > 2*time.Second {
		t.Errorf("beside the large jobs the p99 of the small ones is %v", p99(late))
	}
}

// peakMemory is the most memory that the process had, in MiB.
func (p *running) peakMemory(t *testing.T) (mib int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			if _, err := fmt.Sscan(kib, &mib); err != nil {
				t.Fatal(err)
			}
		}
	}
	return mib >> 10
}
