package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sys/unix"

	"belfry/internal/natstest"
)

// untilLate is when the jobs of these tests are due: after all that they wait for.
const untilLate = 35 * time.Second

// accept sends some jobs that a service accepts.
func (a answers) accept(t *testing.T, p *running, due time.Time) {
	t.Helper()
	postTo(t, p, "/route/games", `{"id":"r","type":"NATS"}`)
	for n := range 20 {
		if code, _ := a.post(t, p, fmt.Sprint(n), due); code != "" {
			t.Fatalf("job %d: %s", n, code)
		}
	}
}

// A disk that was full once: /readyz says so with the system's words, requests are
// answered at once, and when there is space the process ends to be started again.
// Then all that was accepted is there and fires.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	data := filepath.Join(smallDisk(t, 64<<20), "data")
	p := startProgram(t, data)
	due, sent := time.Now().Add(untilLate), answers{}
	sent.accept(t, p, due)
	free := fill(t, filepath.Dir(data))
	becomesUnready(t, http.DefaultClient, p, "no space left on device")
	sent.jobsUntilRefused(t, p, due)
	if got := getFrom(t, p, "/healthz", http.StatusOK, nil); got == "" {
		t.Error("/healthz is empty")
	}
	free()
	log := endsToStartAgain(t, p, errStuck)
	if n := strings.Count(log, "JetStream failed to store a msg on stream '$G > KV_jobs_0'"); n > 3 { // in the reasons, too
		t.Errorf("the log says %d times that a message is not stored:\n%s", n, log)
	}

	again := startProgram(t, data, "--existing-data")
	getFrom(t, again, "/readyz", http.StatusOK, nil)
	allFire(t, again, sent.kept(t, again, due))
	again.kill(t)
	if log = again.rest(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("the next start has errors:\n%s", log)
	}
}

// A start on a full disk harms nothing: nats-server takes its limit of storage from the
// free space at that time, so when there is more space the process ends with the code
// that asks for a restart.
func TestStartOnAFullDisk(t *testing.T) {
	t.Parallel()
	data := filepath.Join(smallDisk(t, 64<<20), "data")
	p := startProgram(t, data)
	due, sent := time.Now().Add(untilLate), answers{}
	sent.accept(t, p, due)
	p.kill(t)
	free := fill(t, filepath.Dir(data))
	p = startProgram(t, data, "--existing-data")
	becomesUnready(t, http.DefaultClient, p, "KV_jobs_0", "insufficient resources")
	if code, took := sent.post(t, p, "late", due); code != "E302" || took > 2*time.Second {
		t.Errorf("a job on a full disk: %s after %v, want E302 at once", code, took)
	}
	free()
	log := endsToStartAgain(t, p, errLimit)
	if n := strings.Count(log, "couldn't take the partition yet"); n > 1 {
		t.Errorf("the log says %d times that the partition cannot be taken:\n%s", n, log)
	}
	again := startProgram(t, data, "--existing-data")
	getFrom(t, again, "/readyz", http.StatusOK, nil)
	allFire(t, again, sent.kept(t, again, due))
}

// The same holds for a limit of open files that was reached once.
func TestNoFilesLeft(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	p := startProgram(t, data)
	due, sent := time.Now().Add(time.Hour), answers{}
	sent.accept(t, p, due)
	own := &http.Client{Transport: keepConn(t, p.ready["api"])}
	lift := limited(t, p, unix.RLIMIT_NOFILE, 8)
	becomesUnready(t, own, p, "too many open files")
	lift()
	endsToStartAgain(t, p, errStuck)
	again := startProgram(t, data, "--existing-data")
	getFrom(t, again, "/readyz", http.StatusOK, nil)
	sent.kept(t, again, due)
}

// The same holds for a system error that passes, such as a disk's: nats-server keeps it.
func TestPassingWriteError(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	p := startProgram(t, data)
	due, sent := time.Now().Add(untilLate), answers{}
	sent.accept(t, p, due)
	lift := limited(t, p, unix.RLIMIT_FSIZE, 1)
	if code, _ := sent.post(t, p, "broken", due); code != "E303" && code != "E302" {
		t.Errorf("a job that cannot be written: %q", code)
	}
	becomesUnready(t, http.DefaultClient, p, "KV_jobs_0", "file too large")
	if code, took := sent.post(t, p, "late", due); code != "E302" || took > 2*time.Second {
		t.Errorf("a job while none can be written: %s after %v, want E302 at once", code, took)
	}
	lift()
	endsToStartAgain(t, p, errStuck)
	again := startProgram(t, data, "--existing-data")
	getFrom(t, again, "/readyz", http.StatusOK, nil)
	allFire(t, again, sent.kept(t, again, due))
}

// A full disk of a NATS server of one's own: Belfry says so, answers at once and
// stays, and goes on when that server is started again.
func TestFullDiskOfAnotherServer(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 64<<20)
	ns := natstest.StartWith(t, &server.Options{StoreDir: filepath.Join(disk, "data")})
	p := startServing(t, "--nats-url", ns.ClientURL(), "--partitions", "1")
	due, sent := time.Now().Add(untilLate), answers{}
	sent.accept(t, p, due)
	free := fill(t, disk)
	sent.jobsUntilRefused(t, p, due)
	becomesUnready(t, http.DefaultClient, p, "the server does not answer them")
	free()
	ns.Restart()
	getFrom(t, p, "/readyz", http.StatusOK, nil)
	allFire(t, p, sent.kept(t, p, due))
	p.kill(t)
	log := p.rest()
	for _, line := range []string{"writes to a stream do not work", "writes to the stream work again"} {
		if n := strings.Count(log, line); n == 0 || n > 12 {
			t.Errorf("%q is said %d times, want once for each stream:\n%s", line, n, log)
		}
	}
}
