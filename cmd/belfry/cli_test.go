package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/api"
	"belfry/internal/command"
	"belfry/internal/waittest"
)

// belfryCommand runs one command of the program and returns what it printed.
func belfryCommand(t *testing.T, env map[string]string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return newShell(env).run(t, "", args...)
}

// shell is where a test types commands.
type shell struct{ env command.Env }

func newShell(env map[string]string) *shell {
	return &shell{command.Env{Getenv: func(name string) string { return env[name] }}}
}

// shellAt is a shell at a server of its own.
func shellAt(t *testing.T) (*shell, *Server) {
	t.Helper()
	s := startServer(t, freePorts(t))
	return newShell(map[string]string{"BELFRY_SERVER": "http://" + s.Addr()}), s
}

func (s *shell) run(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	env := s.env
	env.Stdin, env.Stdout, env.Stderr = strings.NewReader(stdin), &out, &errs
	err = newCommand(env).Run(t.Context(), append([]string{"belfry"}, args...))
	return out.String(), errs.String(), err
}

// must runs a command that must succeed, and returns its output.
func (s *shell) must(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := s.run(t, "", args...)
	if err != nil {
		t.Fatalf("belfry %q: %v\n%s", args, err, stderr)
	}
	return stdout
}

// fails runs a command that must fail with an exit code and a message that contains
// want.
func (s *shell) fails(t *testing.T, code int, want string, args ...string) {
	t.Helper()
	stdout, _, err := s.run(t, "", args...)
	if got := command.ExitCode(err); err == nil || got != code || !strings.Contains(command.Message(err), want) {
		t.Errorf("belfry %q: exit code %d, %v, output %q; want %d and %q", args, got, err, stdout, code, want)
	}
}

// prints runs a command that must print exactly want, in which "..." stands for any
// text.
func (s *shell) prints(t *testing.T, want string, args ...string) {
	t.Helper()
	if got := s.must(t, args...); !matches(got, want) {
		t.Errorf("belfry %q printed\n%swant\n%s\n%s", args, got, want, cmp.Diff(want, got))
	}
}

// Each error code of the API ends in one exit code, and those about what stands
// against a good request in one of their own.
func TestExitCodesOfTheAPI(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"E0xx": true}
	for _, row := range api.ErrorTable() {
		known[row.Code] = true
		at := 0
		for _, exit := range command.Exits() {
			if slices.Contains(exit.Errors, row.Code) {
				at++
			}
		}
		if at > 1 || at == 0 && strings.HasPrefix(row.Code, "E1") {
			t.Errorf("%s (%v) is in %d rows of the exit codes, want 1", row.Code, row.Err, at)
		}
	}
	for _, exit := range command.Exits() {
		for _, code := range exit.Errors {
			if !known[code] {
				t.Errorf("exit code %d has %s, which the API does not", exit.Code, code)
			}
		}
	}
}

func TestCommandsCannotReachTheServer(t *testing.T) {
	t.Parallel()
	s := newShell(map[string]string{"BELFRY_SERVER": "http://127.0.0.1:1"})
	s.fails(t, 6, "--server or BELFRY_SERVER says where it is", "status")
	s.fails(t, 6, "couldn't reach the server", "job", "import", "db", "c", "-")
	s.fails(t, 2, "the server: an http or https URL is accepted", "status", "--server", "127.0.0.1:8080")
	s.fails(t, 1, "and not as Belfry does", "status", "--server", fakeServer(t, http.StatusNotFound, "<html>"))
	s.fails(t, 6, "and not as Belfry does", "status", "--server", fakeServer(t, http.StatusBadGateway, "<html>"))
	s.fails(t, 4, "and not as Belfry does", "status", "--server", fakeServer(t, http.StatusForbidden, "<html>"))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	env := s.env
	env.Stdout, env.Stderr = &bytes.Buffer{}, &bytes.Buffer{}
	if err := newCommand(env).Run(ctx, []string{"belfry", "status"}); command.ExitCode(err) != 130 || command.Message(err) != "interrupted" {
		t.Errorf("interrupted: exit code %d, %q", command.ExitCode(err), command.Message(err))
	}
}

// If something may have been done, and would be done twice, the message says how to go
// on.
func TestCommandsThatAreNotSafeToRepeat(t *testing.T) {
	t.Parallel()
	unknown := fakeServer(t, http.StatusServiceUnavailable, `{"error":"outcome unknown","code":"E303"}`)
	undone := fakeServer(t, http.StatusServiceUnavailable, `{"error":"the store does not answer","code":"E302"}`)
	refused := fakeServer(t, http.StatusBadRequest, `{"error":"no such route","code":"E106"}`)
	for _, tt := range []struct {
		args   []string
		advice string // after "; "
	}{
		{[]string{"job", "add", "db", "c", "--in", "1h", "--route", "r"}, "repeat with ID ..., or there may be two jobs"},
		{[]string{"job", "add", "db", "c", "mine", "--in", "1h", "--route", "r"}, ""},
		{[]string{"token", "create", "--role", "reader", "--all-dbs"}, `there may be a token now that nobody has seen: "belfry token ls" shows it, and "belfry token rm" revokes it`},
		{[]string{"route", "rotate", "db", "r"}, "the route may have a secret now that nobody has seen: rotating once more makes one up that is shown"},
		{[]string{"route", "rotate", "db", "r", "--secret", anySecret}, ""},
	} {
		advice := ""
		if tt.advice != "" {
			advice = "; " + tt.advice
		}
		s := newShell(nil)
		for _, at := range []struct {
			server string
			code   int
			want   string
		}{
			{unknown, 6, "outcome unknown (E303)" + advice},
			{"http://127.0.0.1:1", 6, "couldn't reach the server: ..." + advice + "; --server or BELFRY_SERVER says where it is"},
			{undone, 6, "the store does not answer (E302)"},
			{refused, 3, "no such route (E106)"},
		} {
			_, _, err := s.run(t, "", append(tt.args, "--server", at.server)...)
			if code, message := command.ExitCode(err), command.Message(err); code != at.code || !matches(message, at.want) {
				t.Errorf("belfry %q: exit code %d, %q; want %d, %q", tt.args, code, message, at.code, at.want)
			}
		}

		// A person who waits no longer gets the advice, too.
		ctx, interrupt := context.WithCancel(t.Context())
		left := make(chan struct{})
		hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			interrupt()
			<-left
		}))
		env := s.env
		env.Stdout, env.Stderr = &bytes.Buffer{}, &bytes.Buffer{}
		err := newCommand(env).Run(ctx, append([]string{"belfry"}, append(tt.args, "--server", hangs.URL)...))
		if message := command.Message(err); command.ExitCode(err) != 130 || !matches(message, "interrupted"+advice) {
			t.Errorf("belfry %q, interrupted: exit code %d, %q; want 130, %q", tt.args, command.ExitCode(err), message, "interrupted"+advice)
		}
		close(left)
		hangs.Close()
	}
}

// fakeServer gives everything the same answer.
func fakeServer(t *testing.T, status int, body string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		w.Write([]byte(body))
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// No output has what a terminal would obey, wherever it comes from.
func TestCommandsPrintNoControlCharacters(t *testing.T) {
	t.Parallel()
	s, srv := shellAt(t)
	const evil = "a\x1b[2J\u009b1m\u202e\x7f\tb"
	s.must(t, "route", "add", evil, evil, "--type", "NATS")
	s.must(t, "job", "add", evil, evil, evil, "--in", "1h", "--route", evil, "--data", "\n{\"a\":\"\x7f\u009b\u202e\"}")
	status, body := call(t, srv, http.MethodPost, "/bulk/db/c", `{"id":"x"}`)
	if status != http.StatusOK {
		t.Fatal(status, body)
	}
	for _, args := range [][]string{
		{"job", "ls", evil}, {"job", "get", evil, evil, evil}, {"job", "get", evil, evil, evil + "x"}, {"route", "ls", evil},
		{"route", "get", evil, evil}, {"status"}, {"status", evil}, {"job", "edit", evil, evil, evil, "--in", "2h"},
		{"job", "attempts", evil, evil, evil}, {"dead", "ls", evil}, {"job", "rm", evil, evil, evil}, {"job", evil}, {evil},
		{"job", "ls", evil, "--status", evil}, {"job", "import", evil, evil, evil},
	} {
		for _, args := range [][]string{args, append(slices.Clone(args), "--json")} {
			stdout, stderr, err := s.run(t, "", args...)
			if err != nil {
				stderr += command.Message(err)
			}
			if i := strings.IndexAny(stdout+stderr, "\x1b\u009b\u202e\x7f\t"); i >= 0 {
				t.Errorf("belfry %q printed a control character: %q", args, stdout+stderr)
			}
		}
	}
	// A foreign server may say anything.
	url := fakeServer(t, http.StatusBadRequest, `{"error":"\u001b[2J","code":"E\u0007"}`)
	if _, _, err := s.run(t, "", "status", "--server", url); strings.ContainsAny(command.Message(err), "\x1b\a") {
		t.Errorf("an error with control characters: %q", command.Message(err))
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	s := newShell(nil)
	for _, shell := range []string{"bash", "zsh", "fish", "pwsh", "powershell"} {
		if script := s.must(t, "completion", shell); len(script) < 100 {
			t.Errorf("belfry completion %s printed %q", shell, script)
		}
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	// As bash does it when somebody types "belfry job at" and the tab key, with
	// the one function that the package bash-completion would bring.
	folder := t.TempDir()
	if err := os.Symlink(must(os.Executable()), filepath.Join(folder, "belfry")); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(folder, "completion")
	if err := os.WriteFile(script, []byte(s.must(t, "completion", "bash")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), bash, "-n", script).CombinedOutput(); err != nil {
		t.Fatalf("bash -n: %v\n%s", err, out)
	}
	for _, tt := range []struct{ typed, want string }{
		{"belfry job at", "attempts"},
		{"belfry rou", "route"},
		{"belfry job add --ro", "--route"},
		{"belfry completion ba", "bash"},
	} {
		cmd := exec.CommandContext(t.Context(), bash, "-c", `
			_get_comp_words_by_ref() { :; }
			source "$1"
			COMP_WORDS=($2) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
			__belfry_bash_autocomplete
			echo "${COMPREPLY[@]}"`, "bash", script, tt.typed)
		cmd.Env = []string{asBelfry + "=1", "PATH=" + folder + ":" + os.Getenv("PATH"), "GOCOVERDIR=" + t.TempDir()}
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != tt.want {
			t.Errorf("after %q: %q, %v, want %q", tt.typed, got, err, tt.want)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestStatus(t *testing.T) {
	t.Parallel()
	s, _ := shellAt(t)
	waittest.Eventually(t, func() string {
		stdout, stderr, err := s.run(t, "", "status")
		notYet := command.ExitCode(err) == 6 && matches(stdout, "Server  belfry dev\nReady   no: ...\n")
		if !notYet && (err != nil || stderr != "no dbs\n") {
			t.Fatalf("without a db: %q, %q, %v", stdout, stderr, err)
		}
		return errText(err)
	})
	s.must(t, "route", "add", "games", "turns", "--type", "nats")
	s.must(t, "job", "add", "games", "matches", "m1", "--in", "1h", "--route", "turns")
	waittest.Eventually(t, func() string {
		const want = "Server  belfry dev\nReady   yes\n\nDB     JOBS  ROUTES\ngames  1     1\n"
		if got := s.must(t, "status"); got != want {
			return cmp.Diff(want, got)
		}
		return ""
	})
	s.prints(t, "Server  belfry dev\nReady   yes\n\nCOLLECTION  JOBS\nmatches     1\n", "status", "games")
	s.prints(t, `{"ready":true,"version":"dev"}
{"db":"games","jobs":1,"routes":1}
`, "status", "--json")
}

// zone is the time zone of a test's person.
func (s *shell) zone(name string, hours int) {
	at := time.FixedZone(name, hours*3600)
	s.env.Now = func() time.Time { return time.Now().In(at) }
}
