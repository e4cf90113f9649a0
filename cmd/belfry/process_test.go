package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"belfry/internal/proc"
	"belfry/internal/waittest"
)

// The end-to-end tests run the real program in a process of its own, talk to
// it over REST, and receive on real HTTP servers. Where the API does not show
// enough, they look into JetStream with plain nats.go, as an operator would.
// Those that load the machine do not run in parallel.

const patience = waittest.Patience

// asBelfry makes the test binary behave as the program itself, so that tests
// see a real process with its exit code, signals and locks.
const asBelfry = "BELFRY_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asBelfry) != "" {
		main()
		return
	}
	code := m.Run()
	_ = os.RemoveAll(unwatched.dir)
	os.Exit(code)
}

// program is a belfry process that ends with its test at the latest.
func program(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	limit := 5 * time.Minute
	if *full {
		limit = 20 * time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, binary(t), args...)
	// Under the race detector each process would sleep a second before it exits.
	cmd.Env = append([]string{asBelfry + "=1", "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0", "GOCOVERDIR=" + t.TempDir()}, env...)
	cmd.Dir = t.TempDir()
	return cmd
}

// running is a belfry process that said it is listening.
type running struct {
	cmd   *exec.Cmd
	ready map[string]string // the fields of the line that said so
	admin string            // the URL of its admin listener, if it has one
	rest  func() string     // waits for its end; the log after that line
	err   error             // of Wait
}

// startProgram runs a belfry on free ports and on the given data. It has ended
// when the test has.
func startProgram(t *testing.T, data string, args ...string) *running {
	t.Helper()
	return startServing(t, append([]string{"--nats-listen", ":-1", "--data", data}, args...)...)
}

// startBeside is startProgram for a node on the nats-server of another.
func startBeside(t *testing.T, other *running) *running {
	t.Helper()
	return startServing(t, "--nats-url", other.ready["nats"])
}

func startServing(t *testing.T, args ...string) *running {
	t.Helper()
	return startCommand(t, func(*exec.Cmd) {}, args...)
}

// startCommand is startServing for a command that is changed first.
func startCommand(t *testing.T, change func(*exec.Cmd), args ...string) *running {
	t.Helper()
	cmd := program(t, nil, append([]string{"serve", "--listen", "127.0.0.1:0", "--log-format", "json"}, args...)...)
	change(cmd)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	var before strings.Builder
	var admin string
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			_ = cmd.Wait()
			t.Fatalf("belfry ended before it was ready: %v\n%s", err, before.String())
		}
		before.Write(line)
		fields := map[string]string{}
		err = json.Unmarshal(line, &fields)
		admin += fields["admin"] // in the line before, with --admin-listen
		if err == nil && fields["msg"] == proc.SaysListening {
			log := make(chan string, 1)
			go func() {
				rest, _ := io.ReadAll(lines)
				log <- string(rest)
			}()
			p := &running{cmd: cmd, ready: fields, admin: admin}
			p.rest = sync.OnceValue(func() string {
				rest := <-log // Wait closes the pipe, so it comes second
				p.err = cmd.Wait()
				return rest
			})
			t.Cleanup(func() {
				p.kill(t)
				if t.Failed() {
					t.Logf("the log of belfry at %s:\n%s", fields["api"], p.rest())
				}
			})
			return p
		}
	}
}

// kill ends the process at once, unless it has ended.
func (p *running) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("couldn't kill belfry: %v", err)
	}
	p.wait(t)
}

// wait returns the log after that line when the process has ended.
func (p *running) wait(t *testing.T) string {
	t.Helper()
	log := p.rest()
	for _, bad := range []string{"DATA RACE", "panic: ", "fatal error: "} {
		if strings.Contains(log, bad) {
			t.Errorf("belfry has a %s:\n%s", bad, log)
		}
	}
	return log
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}
