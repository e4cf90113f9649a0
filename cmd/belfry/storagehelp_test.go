package main

import (
	"bufio"
	"encoding/json"
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

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"belfry/api/client"
	"belfry/internal/natstest"
	"belfry/internal/waittest"
)

// smallDisk returns a folder on a file system of that many bytes.
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
	var answer client.Error
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
// was stored" is not. A job with an unknown outcome is sent again, as that answer
// allows, and is there then. It returns the ids that are there.
func (a answers) kept(t *testing.T, p *running, due time.Time) (ids []string) {
	t.Helper()
	var list client.Jobs
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
			var j client.Job
			if getFrom(t, p, "/job/games/c/"+id, http.StatusOK, &j); j.Status != client.StatusPublished {
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

// oneConn sends each request on the same connection, after the answer before was read.
// The transport of net/http opens another when it is in doubt, and a process without
// files never accepts that one.
type oneConn struct {
	conn net.Conn
	r    *bufio.Reader
}

func keepConn(t *testing.T, url string) *oneConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &oneConn{conn, bufio.NewReader(conn)}
	rsp, err := (&http.Client{Transport: c}).Get(url + "/healthz") // it is accepted
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, rsp.Body); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *oneConn) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	if err := r.Write(c.conn); err != nil {
		return nil, err
	}
	return http.ReadResponse(c.r, r)
}
