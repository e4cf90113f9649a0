package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// tryPost sends a job and returns the answer and how long it took.
func tryPost(t *testing.T, p *running, id string, due time.Time) (status int, text string, took time.Duration) {
	t.Helper()
	began := time.Now()
	body := fmt.Sprintf(`{"id":%q,"trigger_time":%d,"meta":{},"route":"r"}`, id, due.UnixMilli())
	rsp, err := http.Post(p.ready["api"]+"/job/games/c", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	answer, err := io.ReadAll(rsp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rsp.StatusCode, string(answer), time.Since(began)
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
func endsToStartAgain(t *testing.T, p *running) string {
	t.Helper()
	log := p.wait(t)
	if exitCode(p.err) != 75 || !strings.Contains(log, errStuck.Error()) {
		t.Fatalf("exit code %d, want 75 and %q in the log:\n%s", exitCode(p.err), errStuck, log)
	}
	if n := strings.Count(log, "writes to a stream do not work"); n == 0 || n > 30 {
		t.Errorf("the log says %d times that writes do not work, want once for each stream", n)
	}
	return log
}

// A disk that was full once: /readyz says so with the system's words, requests are
// answered at once, and when there is space the process ends to be started again.
// Then all that was accepted is there and fires.
func TestFullDisk(t *testing.T) {
	data := filepath.Join(smallDisk(t, 64<<20), "data")
	p := startProgram(t, data)
	postTo(t, p, "/route/games", `{"id":"r","type":"NATS"}`)
	due := time.Now().Add(20 * time.Second)
	accepted := 0
	for ; accepted < 20; accepted++ {
		if status, text, _ := tryPost(t, p, fmt.Sprint(accepted), due); status != http.StatusOK {
			t.Fatalf("job %d: %d %s", accepted, status, text)
		}
	}
	filler := filepath.Join(filepath.Dir(data), "filler")
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
	becomesUnready(t, http.DefaultClient, p, "no space left on device")
	waittest.Eventually(t, func() string { // there is room for some in the page of the file
		if status, text, _ := tryPost(t, p, fmt.Sprint(accepted), due); status == http.StatusOK {
			accepted++
			return "one more job is accepted"
		} else if status != http.StatusServiceUnavailable {
			t.Fatalf("a job on a full disk: %d %s", status, text)
		}
		return ""
	})
	becomesUnready(t, http.DefaultClient, p, "KV_jobs_0")
	status, text, took := tryPost(t, p, "late", due)
	if status != http.StatusServiceUnavailable || !strings.Contains(text, "E302") || took > 2*time.Second {
		t.Errorf("a job on a full disk: %d %s after %v, want 503 E302 at once", status, text, took)
	}
	if got := getFrom(t, p, "/healthz", http.StatusOK, nil); got == "" {
		t.Error("/healthz is empty")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	endsToStartAgain(t, p)

	again := startProgram(t, data, "--existing-data")
	getFrom(t, again, "/readyz", http.StatusOK, nil)
	if n := countJobs(t, again); n != accepted {
		t.Errorf("there are %d jobs, want %d; %s", n, accepted, getFrom(t, again, "/job/games?limit=1000", http.StatusOK, nil))
	}
	for id := range accepted {
		waittest.Eventually(t, func() string {
			var j struct{ Status string }
			if getFrom(t, again, fmt.Sprintf("/job/games/c/%d", id), http.StatusOK, &j); j.Status != "published" {
				return fmt.Sprintf("job %d is %s", id, j.Status)
			}
			return ""
		})
	}
}

// The same with a limit of open files that was reached once.
func TestNoFilesLeft(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	p := startProgram(t, data)
	postTo(t, p, "/route/games", `{"id":"r","type":"NATS"}`)
	tryPost(t, p, "0", time.Now().Add(time.Hour))
	pid := p.cmd.Process.Pid
	var was unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Skipf("the limits of another process cannot be changed here: %v", err)
	}
	// On a connection that is kept: a test server that ends closes those of the
	// default client.
	own := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(own.CloseIdleConnections)
	rsp, err := own.Get(p.ready["api"] + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, rsp.Body); err != nil {
		t.Fatal(err)
	}
	rsp.Body.Close()
	few := was
	few.Cur = 8
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		t.Fatal(err)
	}
	becomesUnready(t, own, p, "too many open files")
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &was, nil); err != nil {
		t.Fatal(err)
	}
	endsToStartAgain(t, p)
	again := startProgram(t, data, "--existing-data")
	getFrom(t, again, "/readyz", http.StatusOK, nil)
	if n := countJobs(t, again); n != 1 {
		t.Errorf("there are %d jobs, want 1", n)
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
	for _, tc := range []struct {
		name string
		args []string
		want int
	}{
		{"a port that is taken", []string{"--nats-listen", taken.Addr().String()}, 75},
		{"no data", []string{"--existing-data", "--data", missing, "--nats-listen", ":-1"}, 78},
		{"a file in the place of the data", []string{"--data", os.Args[0], "--nats-listen", ":-1"}, 75},
		{"not accepted", []string{"--listen", ":0"}, 78},
	} {
		args := append([]string{"serve", "--listen", "127.0.0.1:0"}, tc.args...)
		out, err := program(t, nil, args...).CombinedOutput()
		if exitCode(err) != tc.want {
			t.Errorf("%s: exit code %d, want %d:\n%s", tc.name, exitCode(err), tc.want, out)
		}
	}
	if err := serveError(fmt.Errorf("x: %w", errFolderLost)); !errors.Is(err, errFolderLost) {
		t.Errorf("the error is lost: %v", err)
	}
}
