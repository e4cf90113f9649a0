package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"belfry/internal/natstest"
	"belfry/internal/waittest"
)

// smallDisk is a folder on a file system of so many bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("no file system can be mounted here, as needed for a full disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("couldn't unmount %s: %v", dir, err)
		}
	})
	return dir
}

// answers are what jobs were answered, by their id: an error code, or "" if it was
// accepted.
type answers map[string]string

// post sends a job and returns its error code, and how long the answer took.
func (a answers) post(t *testing.T, p *running, id string, due time.Time) (code string, took time.Duration) {
	t.Helper()
	began := time.Now()
	body := fmt.Sprintf(`{"id":%q,"trigger_time":%d,"meta":{},"route":"r"}`, id, due.UnixMilli())
	rsp, err := http.Post(p.ready["api"]+"/job/games/c", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	var answer struct{ Code string }
	if err := json.NewDecoder(rsp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	took = time.Since(began)
	t.Logf("job %s: %d %s after %v", id, rsp.StatusCode, answer.Code, took)
	if rsp.StatusCode != http.StatusOK && answer.Code == "" {
		t.Fatalf("job %s: %d without a code", id, rsp.StatusCode)
	}
	a[id] = answer.Code
	return answer.Code, took
}

// kept checks that what was accepted is there, and what was refused with "nothing
// was stored" is not. What has an unknown outcome is sent again, as that answer
// allows, and is there then. It returns the ids that are there.
func (a answers) kept(t *testing.T, p *running, due time.Time) (ids []string) {
	t.Helper()
	var list struct{ Jobs []struct{ ID string } }
	getFrom(t, p, "/job/games?limit=1000", http.StatusOK, &list)
	there := map[string]bool{}
	for _, j := range list.Jobs { // one that fires meanwhile is listed twice
		there[j.ID] = true
	}
	for id, code := range a {
		switch code {
		case "":
			if !there[id] {
				t.Errorf("job %s was accepted and is not there", id)
			}
		case "E303":
			if code, _ := (answers{}).post(t, p, id, due); code != "" {
				t.Errorf("job %s, whose outcome was unknown, is sent again: %s", id, code)
			}
			there[id] = true
		default:
			if there[id] {
				t.Errorf("job %s was refused with %s and is there", id, code)
			}
		}
	}
	for id := range there {
		if _, sent := a[id]; !sent {
			t.Errorf("job %s was never sent", id)
		}
	}
	return slices.Sorted(maps.Keys(there))
}

// allFire waits until the jobs have fired, each once.
func allFire(t *testing.T, p *running, ids []string) {
	t.Helper()
	for _, id := range ids {
		waittest.Eventually(t, func() string {
			var j struct{ Status string }
			if getFrom(t, p, "/job/games/c/"+id, http.StatusOK, &j); j.Status != "published" {
				return fmt.Sprintf("job %s is %s", id, j.Status)
			}
			return ""
		})
	}
	nc, err := nats.Connect(p.ready["nats"])
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	var fired []string
	for _, m := range natstest.Messages(t, js, "FIRES", "fires.games.r") {
		fired = append(fired, m.Headers().Get("Belfry-Job-Id"))
	}
	if slices.Sort(fired); !slices.Equal(fired, ids) {
		t.Errorf("the fires are %q, want each of %q once", fired, ids)
	}
}

// fill takes all space of a small disk, until free is called.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1 << 20; n > 0; {
		if _, err := f.Write(make([]byte, n)); err != nil {
			n /= 2
		}
	}
	f.Close()
	return func() {
		t.Helper()
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
}

// jobsUntilRefused sends jobs to a service whose disk has no space until one is not
// accepted: there is room for some in the last page of the file. Then another is
// refused at once.
func (a answers) jobsUntilRefused(t *testing.T, p *running, due time.Time) {
	t.Helper()
	for code := ""; code == ""; {
		if code, _ = a.post(t, p, fmt.Sprint(len(a)), due); code != "" && code != "E303" && code != "E302" {
			t.Fatalf("a job on a full disk: %s", code)
		}
	}
	becomesUnready(t, http.DefaultClient, p, "KV_jobs_")
	if code, took := a.post(t, p, "late", due); code != "E302" || took > 2*time.Second {
		t.Errorf("a job on a full disk: %s after %v, want E302 at once", code, took)
	}
}

// becomesUnready waits until /readyz is 503 with those words.
func becomesUnready(t *testing.T, client *http.Client, p *running, words ...string) {
	t.Helper()
	waittest.Eventually(t, func() string {
		rsp, err := client.Get(p.ready["api"] + "/readyz")
		if err != nil {
			return err.Error()
		}
		defer rsp.Body.Close()
		text, err := io.ReadAll(rsp.Body)
		for _, w := range append(words, "E304") {
			if err != nil || rsp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), w) {
				return fmt.Sprintf("/readyz is %d %s, %v; want 503 and %q", rsp.StatusCode, text, err, w)
			}
		}
		return ""
	})
}

// endsToStartAgain waits until the process has ended as it does once its disk takes
// writes again, and returns its log.
func endsToStartAgain(t *testing.T, p *running, why error) string {
	t.Helper()
	log := p.wait(t)
	if exitCode(p.err) != 75 || !strings.Contains(log, why.Error()) {
		t.Fatalf("exit code %d, want 75 and %q in the log:\n%s", exitCode(p.err), why, log)
	}
	if n := strings.Count(log, "writes to a stream do not work"); n == 0 || n > 30 {
		t.Errorf("the log says %d times that writes do not work, want once for each stream", n)
	}
	return log
}

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

// A start on a full disk harms nothing: nats-server takes its limit of storage from
// the space that there is then, so when there is more the process ends to be started
// again.
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

// limited sets a limit of another process, until lift is called.
func limited(t *testing.T, p *running, which int, limit uint64) (lift func()) {
	t.Helper()
	pid := p.cmd.Process.Pid
	var was unix.Rlimit
	if err := unix.Prlimit(pid, which, nil, &was); err != nil {
		t.Skipf("the limits of another process cannot be changed here: %v", err)
	}
	few := was
	few.Cur = limit
	if err := unix.Prlimit(pid, which, &few, nil); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := unix.Prlimit(pid, which, &was, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// The same with a limit of open files that was reached once.
func TestNoFilesLeft(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	p := startProgram(t, data)
	due, sent := time.Now().Add(time.Hour), answers{}
	sent.accept(t, p, due)
	// On the one connection that is kept: a second one, which a client opens when the
	// first is not back in time, is never accepted now.
	own := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: 30 * time.Second}
	t.Cleanup(own.CloseIdleConnections)
	rsp, err := own.Get(p.ready["api"] + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, rsp.Body); err != nil {
		t.Fatal(err)
	}
	rsp.Body.Close()
	lift := limited(t, p, unix.RLIMIT_NOFILE, 8)
	becomesUnready(t, own, p, "too many open files")
	lift()
	endsToStartAgain(t, p, errStuck)
	again := startProgram(t, data, "--existing-data")
	getFrom(t, again, "/readyz", http.StatusOK, nil)
	sent.kept(t, again, due)
}

// An error of the system that passes, as one of a disk: nats-server keeps it.
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

// The exit codes of the service tell a service manager whether to start it again.
func TestExitCodesOfTheService(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	ns := natstest.StartWith(t, &server.Options{Username: "u", Password: "p"})
	for _, tc := range []struct {
		name string
		args []string
		want int
	}{
		{"no such server", []string{"--nats-url", "nats://127.0.0.1:1"}, 75},
		{"no data", []string{"--existing-data", "--data", missing, "--nats-listen", ":-1"}, 78},
		{"a file in the place of the data", []string{"--data", os.Args[0], "--nats-listen", ":-1"}, 78},
		{"no place for the data", []string{"--data", "/proc/belfry", "--nats-listen", ":-1"}, 78},
		{"the port is taken", []string{"--listen", taken.Addr().String(), "--data", filepath.Join(t.TempDir(), "data"), "--nats-listen", ":-1"}, 75},
		{"no file with credentials", []string{"--nats-url", ns.ClientURL(), "--creds", missing}, 78},
		{"no file with authorities", []string{"--nats-url", ns.ClientURL(), "--tlsca", missing}, 78},
		{"no such context", []string{"--context", "none"}, 78},
		{"a password that is not accepted yet", []string{"--nats-url", strings.Replace(ns.ClientURL(), "://", "://u:wrong@", 1)}, 75},
		{"no file with a token", []string{"--admin-token-file", missing}, 78},
		{"no NATS configuration", []string{"--nats-config", missing}, 78},
		{"no such flag", []string{"--no-such-flag"}, 78},
		{"not accepted", []string{"--listen", ":0"}, 78},
	} {
		args := append([]string{"serve", "--listen", "127.0.0.1:0"}, tc.args...)
		out, err := program(t, []string{"HOME=" + t.TempDir()}, args...).CombinedOutput()
		if exitCode(err) != tc.want {
			t.Errorf("%s: exit code %d, want %d:\n%s", tc.name, exitCode(err), tc.want, out)
		}
	}
	if err := serveError(fmt.Errorf("x: %w", errFolderLost)); !errors.Is(err, errFolderLost) {
		t.Errorf("the error is lost: %v", err)
	}
}
