package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asBelfry makes the test binary behave as the program itself, so that tests
// see a real process with its exit code, signals and locks.
const asBelfry = "BELFRY_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asBelfry) != "" {
		main()
		return
	}
	os.Exit(m.Run())
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
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append([]string{asBelfry + "=1", "PATH=" + os.Getenv("PATH"), "GOCOVERDIR=" + t.TempDir()}, env...)
	cmd.Dir = t.TempDir()
	return cmd
}

func TestMistakesHaveExitCodes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		env  []string
		args []string
		want string
	}{
		{"unknown command", nil, []string{"sreve"}, `unknown command "sreve"; see "belfry --help"`},
		{"unknown root flag", nil, []string{"--nope"}, `flag provided but not defined: -nope; see "belfry --help"`},
		{"unknown flag", nil, []string{"serve", "--lisen", ":1"}, `flag provided but not defined: -lisen; see "belfry serve --help"`},
		{"unknown help topic", nil, []string{"help", "nope"}, `No help topic for 'nope'`},
		{"argument", nil, []string{"serve", "now"}, `unexpected argument "now"; see "belfry serve --help"`},
		{"argument of version", nil, []string{"version", "now"}, `unexpected argument "now"; see "belfry version --help"`},
		{"flag without a value", nil, []string{"serve", "--listen"}, `flag needs an argument: --listen; see "belfry serve --help"`},
		{"bad flag", nil, []string{"serve", "--history-ttl", "500ms"}, `--history-ttl "500ms": whole seconds from 1s on are accepted, as in 24h or 90m`},
		{"bad variable", []string{"BELFRY_LOG_FORMAT=xml"}, []string{"serve"}, `BELFRY_LOG_FORMAT "xml": text and json are accepted`},
		{"two servers", []string{"BELFRY_DATA=x"}, []string{"serve", "--nats-url", "nats://127.0.0.1:1"}, `--nats-url and BELFRY_DATA exclude each other: `},
		{"all interfaces", nil, []string{"serve", "--listen", ":0"}, `--listen ":0": not a loopback address`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cmd := program(t, tc.env, tc.args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			code := 2
			if tc.name == "all interfaces" { // found when it starts
				code = 1
			}
			if got := exitCode(err); got != code {
				t.Errorf("belfry %q: exit code %d (%v), want %d", tc.args, got, err, code)
			}
			if got := stderr.String(); !strings.HasPrefix(got, "belfry: "+tc.want) || strings.Count(got, "\n") != 1 {
				t.Errorf("belfry %q: standard error is %q, want one line starting with %q", tc.args, got, "belfry: "+tc.want)
			}
			if stdout.Len() > 0 {
				t.Errorf("belfry %q: standard output is %q, want nothing", tc.args, &stdout)
			}
			if left, err := os.ReadDir(cmd.Dir); err != nil || len(left) > 0 {
				t.Errorf("belfry %q: left %v (%v) in its folder, want nothing", tc.args, left, err)
			}
		})
	}
}

func TestHelpAndVersionExitWithZero(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"serve", "version"}},
		{[]string{"--help"}, []string{"serve", "version"}},
		{[]string{"version"}, []string{"belfry dev (commit ", ", nats-server 2.", ", go1."}},
		{[]string{"--version"}, []string{"belfry dev (commit ", ", nats-server 2.", ", go1."}},
		{[]string{"serve", "--help"}, flagNames()},
	} {
		out, err := program(t, nil, tc.args...).Output()
		if err != nil {
			t.Errorf("belfry %q: %v, want exit code 0", tc.args, err)
		}
		for _, want := range tc.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("belfry %q printed %q, want %q in it", tc.args, out, want)
			}
		}
	}
}

func flagNames() []string {
	var names []string
	for _, s := range flagTable() {
		names = append(names, "--"+s.name, "$"+s.env())
	}
	return names
}

func TestServeUntilSignalled(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			p := startProgram(t, data)

			rsp, err := http.Get(p.ready["api"] + "/nothing/here")
			if err != nil {
				t.Fatalf("couldn't call the API of a ready belfry: %v", err)
			}
			rsp.Body.Close()
			if rsp.StatusCode != http.StatusNotFound {
				t.Errorf("GET /nothing/here: status %d, want 404", rsp.StatusCode)
			}
			if !strings.HasPrefix(p.ready["nats"], "nats://127.0.0.1:") {
				t.Errorf("the line says NATS is at %q, want nats://127.0.0.1:<port>", p.ready["nats"])
			}
			if p.ready["data"] != data {
				t.Errorf("the line says the data is in %q, want %q", p.ready["data"], data)
			}

			second := program(t, nil, "serve", "--listen", "127.0.0.1:0", "--nats-listen", ":0", "--data", data)
			out, err := second.CombinedOutput()
			if want := `the data folder "` + data + `" is in use by another belfry process`; exitCode(err) != 1 || !strings.Contains(string(out), want) {
				t.Errorf("second process on the same data: exit code %d, output %q, want 1 and %q", exitCode(err), out, want)
			}

			if err := p.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			log := p.wait(t)
			if got := exitCode(p.err); got != 0 {
				t.Errorf("after %v: exit code %d, want 0; log:\n%s", sig, got, log)
			}
			if strings.Contains(log, `"level":"ERROR"`) {
				t.Errorf("a clean stop logged errors:\n%s", log)
			}
		})
	}
}

func TestRestartOnTheSameDataAfterKill(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	startProgram(t, data).kill(t)
	startProgram(t, data) // the lock died with its process
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
	cmd := program(t, nil, append([]string{"serve", "--listen", "127.0.0.1:0", "--log-format", "json"}, args...)...)
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
		if err == nil && fields["msg"] == "belfry is listening" {
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
