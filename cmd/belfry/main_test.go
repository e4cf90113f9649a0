package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

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
		{"bad flag", nil, []string{"serve", "--history-ttl", "500ms"}, `--history-ttl "500ms": whole seconds from 1m on are accepted, as in 24h or 90m`},
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
			if slices.Contains(append(tc.args, ""), "serve") { // a service manager must not repeat it
				code = 78
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
			if want := `the data folder "` + data + `" is in use by another belfry process`; exitCode(err) != 75 || !strings.Contains(string(out), want) {
				t.Errorf("second process on the same data: exit code %d, output %q, want 75 and %q", exitCode(err), out, want)
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
