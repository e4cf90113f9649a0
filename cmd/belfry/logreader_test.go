package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/internal/proc"
	"belfry/internal/waittest"
)

// unread is a belfry whose log is read until it listens, and not after that.
type unread struct {
	*running
	lines *bufio.Reader
	ended chan error
}

// startUnread starts a belfry that logs into a file of ours; theirs is its end.
func startUnread(t *testing.T, ours, theirs *os.File) *unread {
	t.Helper()
	cmd := program(t, nil, "serve", "--listen", "127.0.0.1:0", "--nats-listen", ":-1", "--data", t.TempDir(), "--log-format", "json",
		"--log-level", "debug", "--nats-config", confFile(t, "debug: true"))
	cmd.Stderr = theirs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	t.Cleanup(func() { ours.Close() })
	u := &unread{running: &running{cmd: cmd}, lines: bufio.NewReader(ours), ended: make(chan error, 1)}
	for {
		line, err := u.lines.ReadBytes('\n')
		if err != nil {
			t.Fatalf("belfry ended before it was ready: %v", err)
		}
		fields := map[string]string{}
		if err := json.Unmarshal(line, &fields); err == nil && fields["msg"] == proc.SaysListening {
			u.ready = fields
			break
		}
	}
	go func() { u.ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return u
}

// endsWith waits for the end.
func (u *unread) endsWith(t *testing.T, code int) {
	t.Helper()
	select {
	case err := <-u.ended:
		if got := exitCode(err); got != code {
			t.Errorf("exit code %d (%v), want %d", got, err, code)
		}
	case <-time.After(patience):
		t.Fatal("it doesn't end")
	}
}

// works checks that jobs go on.
func (u *unread) works(t *testing.T, prefix string, n int) {
	t.Helper()
	in := newReceiver(t, func(*http.Request, post) int { return http.StatusGone })
	route := longName("r" + prefix)
	u.must(t, http.MethodPost, "/route/db", fmt.Sprintf(`{"id":%s,"type":"REST","webhook_url":%q}`, quoted(route), in.url))
	var jobs []plannedJob
	for i := range n {
		jobs = append(jobs, plannedJob{id: longName(fmt.Sprint(prefix, i)), due: time.Now(), meta: "1"})
	}
	u.createBulk(t, jobs, route)
	in.waitFor(t, n)
	for _, j := range []plannedJob{jobs[0], jobs[n-1]} {
		u.becomes(t, "/job/db/coll/"+strings.ReplaceAll(j.id, "\x01", "%01"), job.Dead)
	}
}

// fill has more logged than anybody takes: lines of the level debug have no bound, and
// the nats-server writes some for each connection.
func (u *unread) fill(t *testing.T) {
	t.Helper()
	before := u.droppedLines(t)
	waittest.Eventually(t, func() string {
		for range 100 {
			c, err := net.Dial("tcp", strings.TrimPrefix(u.ready["nats"], "nats://"))
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
		if u.droppedLines(t) == before {
			return "no line was dropped yet"
		}
		return ""
	})
}

// droppedLines returns the number in the metric.
func (u *unread) droppedLines(t *testing.T) (n float64) {
	t.Helper()
	for line := range strings.Lines(u.must(t, http.MethodGet, "/metrics", "")) {
		if value, ok := strings.CutPrefix(line, "belfry_log_lines_dropped_total "); ok {
			if _, err := fmt.Sscan(value, &n); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

// Someone starts belfry with its log in a pipe and does not read it. All goes on,
// including the backup; when the reader comes back, the log says how many lines it has
// missed.
func TestLogThatNobodyReads(t *testing.T) {
	t.Parallel()
	ours, theirs := pipe(t)
	u := startUnread(t, ours, theirs)
	u.fill(t)
	u.works(t, "a", 100)
	if _, _, err := belfryCommand(t, u.at(), "backup", filepath.Join(t.TempDir(), "backup")); err != nil {
		t.Errorf("belfry backup: %v", err)
	}
	for {
		line, err := u.lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the log ended: %v", err)
		}
		var l struct {
			Msg   string
			Level string
			Lines float64
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("the log has a broken line: %q", line)
		}
		if l.Msg == "lines of the log were dropped" {
			if dropped := u.droppedLines(t); l.Lines < 1 || l.Lines > dropped || l.Level != "WARN" {
				t.Errorf("told at level %s that %v lines were dropped, and the metric says %v", l.Level, l.Lines, dropped)
			}
			break
		}
	}
	u.fill(t)
	u.works(t, "b", 100)
	if err := u.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	u.endsWith(t, 0)
}

// A panic ends the process though its report finds no reader; SIGQUIT is reported in
// the same way.
func TestPanicThatNobodyReads(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/fd/2"); err != nil {
		t.Skip("needs /proc, to have a pipe that never blocks: ", err)
	}
	for name, stderr := range map[string]func(*testing.T) (ours, theirs *os.File){"pipe": pipe, "socket": socket} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := stderr(t)
			u := startUnread(t, ours, theirs)
			u.fill(t)
			if err := u.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
				t.Fatal(err)
			}
			u.endsWith(t, 2)
		})
	}
}

// The reader of the log leaves, and nothing ends for that.
func TestLogReaderThatLeaves(t *testing.T) {
	t.Parallel()
	for name, stderr := range map[string]func(*testing.T) (ours, theirs *os.File){"pipe": pipe, "socket": socket} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := stderr(t)
			u := startUnread(t, ours, theirs)
			ours.Close()
			u.works(t, "a", 10)
			if u.droppedLines(t) == 0 {
				t.Error("no line counts as dropped")
			}
			if err := u.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			u.endsWith(t, 0)
		})
	}
}

// A start that fails says so to a reader that does not read, and ends.
func TestFailedStartThatNobodyReads(t *testing.T) {
	t.Parallel()
	ours, theirs := pipe(t)
	defer ours.Close()
	// As full as another process has left it.
	fd := int(theirs.Fd())
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for _, chunk := range []int{4096, 1} {
		for {
			if _, err := syscall.Write(fd, make([]byte, chunk)); err != nil {
				break
			}
		}
	}
	if err := syscall.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	cmd := program(t, nil, "serve", "--listen", ":0")
	cmd.Stderr = theirs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	u := &unread{running: &running{cmd: cmd}, ended: make(chan error, 1)}
	go func() { u.ended <- cmd.Wait() }()
	u.endsWith(t, 78)
}

// `belfry receive` and the commands are for pipes: one that ends ends them.
func TestCommandsEndWithTheirPipe(t *testing.T) {
	t.Parallel()
	ours, theirs := pipe(t)
	cmd := program(t, nil, "receive", "--listen", "127.0.0.1:0")
	cmd.Stdout = theirs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	line, err := bufio.NewReader(ours).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	ours.Close()
	// The answer may be cut off by the end, so its error says nothing.
	if rsp, err := http.Post(strings.TrimSpace(line[strings.Index(line, "http"):]), "application/json", strings.NewReader("1")); err == nil {
		io.Copy(io.Discard, rsp.Body)
		rsp.Body.Close()
	}
	err = cmd.Wait()
	exit, ok := err.(*exec.ExitError)
	if status, isWait := exit.Sys().(syscall.WaitStatus); !ok || !isWait || status.Signal() != syscall.SIGPIPE {
		t.Errorf("belfry receive ended with %v, want by SIGPIPE", err)
	}
}

func pipe(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// socket is a pair as systemd hands it to a service.
func socket(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	a, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if ours, err = a.(*net.UnixConn).File(); err != nil {
		t.Fatal(err)
	}
	if theirs, err = b.(*net.UnixConn).File(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.SetNonblock(int(theirs.Fd()), false); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}
