package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"belfry/api/client"
	"belfry/internal/command"
	"belfry/internal/waittest"
)

func TestJobCommands(t *testing.T) {
	t.Parallel()
	s, srv := shellAt(t)
	s.zone("here", 5)
	s.must(t, "route", "add", "games", "turns", "--type", "NATS")

	// The id alone is on standard output.
	stdout, stderr, err := s.run(t, "", "job", "add", "games", "a/b", "m 1", "--at", "2099-12-24T18:00", "--route", "turns", "--data", `{ "n": 1.0 }`)
	if err != nil || stdout != "m 1\n" || !matches(stderr, "due 2099-12-24 18:00:00.000  (in ...d...), to turns\n") {
		t.Errorf("belfry job add: %q, %q, %v", stdout, stderr, err)
	}
	s.prints(t, `DB           games
Collection   a/b
ID           m 1
Status       scheduled
Route        turns
Due          2099-12-24 18:00:00.000  (in ...d...)
Tries begun  0
Data         {"n":1.0}
`, "job", "get", "games", "a/b", "m 1")
	due := time.Date(2099, 12, 24, 13, 0, 0, 0, time.UTC).UnixMilli()
	s.prints(t, fmt.Sprintf(`{"id":"m 1","trigger_time":%d,"meta":{"n":1.0},"route":"turns","db":"games","collection":"a/b","status":"scheduled","attempt":0}`+"\n", due),
		"job", "get", "games", "a/b", "m 1", "--json")

	// The data is kept byte for byte, by an edit too.
	_, body := call(t, srv, http.MethodGet, "/job/games/a%2Fb/m%201", "")
	if !strings.Contains(body, `"meta":{ "n": 1.0 },`) {
		t.Errorf("the job is %s, want the data as it was given", body)
	}
	s.prints(t, "changed m 1: due ...  (in 2d), to turns\n", "job", "edit", "games", "a/b", "m 1", "--in", "2d")
	_, body = call(t, srv, http.MethodGet, "/job/games/a%2Fb/m%201", "")
	if !strings.Contains(body, `"meta":{ "n": 1.0 },`) || strings.Contains(body, strconv.FormatInt(due, 10)) {
		t.Errorf("the edited job is %s, want another time and the data as it was", body)
	}
	s.prints(t, "changed m 1: ...\n", "job", "edit", "games", "a/b", "m 1", "--data", "[]")
	s.prints(t, `...
Data         []
`, "job", "get", "games", "a/b", "m 1")

	// Without an id one is made up, each time another.
	one := strings.TrimSpace(s.must(t, "job", "add", "games", "c", "--in", "10m", "--route", "turns"))
	var two struct{ ID, Status string }
	if err := json.Unmarshal([]byte(s.must(t, "job", "add", "games", "c", "--in", "1w2d", "--route", "turns", "--json")), &two); err != nil || two.ID == one || len(one) < 20 || two.Status != "ok" {
		t.Errorf("ids that were made up: %q and %+v, %v", one, two, err)
	}

	s.prints(t, `COLLECTION  ID...STATUS     ROUTE  DUE...TRIES  REASON
a/b         m 1...scheduled  turns  20...  in 1d23h  0
c           ...scheduled  turns  20...  in 9m59s  0
c           ...scheduled  turns  20...  in 8d23h  0
`, "job", "ls", "games")
	s.prints(t, `ID...STATUS     ROUTE  DUE...TRIES  REASON
`+one+`  scheduled  turns  20...  in 9m59s  0
`, "job", "ls", "games", "c", "--due-before", "+1h", "--due-after", "now", "--status", "scheduled", "--route", "turns", "--prefix", one[:3])
	_, stderr, err = s.run(t, "", "job", "ls", "games", "c", "--status", "dead")
	if err != nil || stderr != "no jobs\n" {
		t.Errorf("an empty list: %q, %v", stderr, err)
	}
	s.prints(t, "fired "+one+"\n", "job", "fire", "games", "c", one)
	waittest.Eventually(t, func() string {
		if got := s.must(t, "job", "get", "games", "c", one); !strings.Contains(got, "Status       published\n") {
			return got
		}
		return ""
	})
	s.prints(t, "cancelled m 1\n", "job", "rm", "games", "a/b", "m 1")
	s.prints(t, `{"status":"ok"}`+"\n", "job", "rm", "games", "c", two.ID, "--json")

	s.fails(t, 3, "job not found", "job", "get", "games", "c", "nope")
	s.fails(t, 3, "job not found", "job", "edit", "games", "c", "nope", "--in", "1h")
	s.fails(t, 5, "(E104)", "job", "fire", "games", "c", one)
	s.fails(t, 5, "(E104)", "job", "edit", "games", "c", one, "--in", "1h")
	s.fails(t, 5, "(E102)", "job", "add", "games", "d", s.taken(t), "--in", "2h", "--route", "turns")
}

// taken returns the id of a job in the collection d.
func (s *shell) taken(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(s.must(t, "job", "add", "games", "d", "--in", "1h", "--route", "turns"))
}

func TestJobMistakes(t *testing.T) {
	t.Parallel()
	s, _ := shellAt(t)
	add := []string{"job", "add", "db", "c", "x"}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"job", "get", "db", "c"}, "ID is missing; see \"belfry job get --help\""},
		{[]string{"job", "get", "db", "", "x"}, "COLLECTION is empty"},
		{[]string{"job", "get", "db", "c", "x", "y"}, `unexpected argument "y"`},
		{[]string{"job", "nope"}, `unknown command "nope"; see "belfry job --help"`},
		{append(add, "--route", "r"), "--in DURATION or --at TIME"},
		{append(add, "--in", "1h"), "--route is missing"},
		{append(add, "--in", "1h", "--at", "now", "--route", "r"), "exclude each other"},
		{append(add, "--in", "-5m", "--route", "r"), `--in "-5m": a duration is accepted`},
		{append(add, "--at", "tomorrow", "--route", "r"), `--at "tomorrow": a time is accepted`},
		{append(add, "--in", "1h", "--route", "r", "--data", "hello"), "--data is no JSON"},
		{append(add, "--in", "1h", "--route", "r", "--data", "@/nope"), "--data: open /nope"},
		{append(add, "--at", "1", "--route", "r"), "(E009)"},
		{[]string{"job", "add", "db", "c", strings.Repeat("x", 201), "--in", "1h", "--route", "r"}, "ID has 201 bytes"},
		{[]string{"job", "edit", "db", "c", "x"}, "nothing to change"},
		{[]string{"job", "ls", "db", "--status", "late"}, "(E021)"},
		{[]string{"job", "ls", "db", "--route", ""}, "--route is empty"},
		{[]string{"job", "ls", "db", "--limit", "0"}, "--limit 0: 1 or more"},
		{[]string{"job", "ls", "db", "--limit", "many"}, `invalid value "many" for flag -limit`},
		{[]string{"job", "rm", "db", "c"}, "ID is missing, or a filter, or --all"},
		{[]string{"job", "rm", "db", "c", "x", "--all"}, "ID stands beside a filter"},
		{[]string{"job", "rm", "db", "--all", "--status", "scheduled"}, "--all stands beside a filter"},
		{[]string{"job", "rm", "db", "--all"}, "--force does it without asking"},
		{[]string{"job", "import", "db", "c", "/nope"}, "open /nope"},
	} {
		s.fails(t, 2, tt.want, tt.args...)
	}
}

// Data and files come from where the command line says.
func TestJobDataFromFiles(t *testing.T) {
	t.Parallel()
	s, _ := shellAt(t)
	s.must(t, "route", "add", "db", "r", "--type", "NATS")
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, []byte("{\"from\":\n\"a file\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must(t, "job", "add", "db", "c", "1", "--in", "1h", "--route", "r", "--data", "@"+file)
	s.prints(t, `...Data         {"from":"a file"}`+"\n", "job", "get", "db", "c", "1")
	for i, dash := range []string{"-", "@-"} {
		id := strconv.Itoa(i + 2)
		if _, _, err := s.run(t, `"from standard input"`, "job", "add", "db", "c", id, "--in", "1h", "--route", "r", "--data", dash); err != nil {
			t.Fatal(err)
		}
		s.prints(t, `...Data         "from standard input"`+"\n", "job", "get", "db", "c", id)
	}
}

// An edit that another one overtakes is refused, with the reason.
func TestJobEditIsForWhatItSaw(t *testing.T) {
	t.Parallel()
	s, srv := shellAt(t)
	s.must(t, "route", "add", "db", "r", "--type", "NATS")
	s.must(t, "job", "add", "db", "c", "x", "--in", "1h", "--route", "r", "--data", "1")
	// Between the GET and the PUT of the command somebody else comes.
	proxy := proxyTo(t, "http://"+srv.Addr(), http.MethodPut, func() {
		s.must(t, "job", "edit", "db", "c", "x", "--data", "2")
	})
	s.fails(t, 5, "(E110)", "job", "edit", "db", "c", "x", "--in", "2h", "--server", proxy)
	s.prints(t, "...(in 59m...Data         2\n", "job", "get", "db", "c", "x")
}

// A list is read to its end, or to its limit, and cancelled by filter.
func TestManyJobs(t *testing.T) {
	t.Parallel()
	plays(t)
	s, _ := shellAt(t)
	s.must(t, "route", "add", "db", "r", "--type", "NATS")
	const n = 2500
	var jobs strings.Builder
	for i := range n {
		fmt.Fprintf(&jobs, `{"id":"job-%d","trigger_time":4102444800000,"route":"r"}`+"\n", i)
	}
	stdout, stderr, err := s.run(t, jobs.String(), "job", "import", "db", "c", "-")
	if err != nil || stdout != "created 2500 jobs, 0 failed\n" || stderr != "" {
		t.Fatalf("belfry job import: %q, %q, %v", stdout, stderr, err)
	}
	if got := strings.Count(s.must(t, "job", "ls", "db", "--json"), "\n"); got != n {
		t.Errorf("%d jobs are listed, want %d", got, n)
	}
	if got := strings.Count(s.must(t, "job", "ls", "db", "c", "--limit", "1001"), "\n"); got != 1002 {
		t.Errorf("%d lines with --limit 1001, want 1002", got)
	}
	s.prints(t, "would cancel 1111 jobs of db\n", "job", "rm", "db", "--prefix", "job-1", "--dry-run")
	if got := sumOf(t, s.must(t, "job", "rm", "db", "--prefix", "job-1", "--dry-run", "--json"), func(c client.Cancelled) int { return c.WouldCancel }); got != 1111 {
		t.Errorf("%d jobs would be cancelled, want 1111", got)
	}

	// At a terminal it asks.
	s.env.Terminal = true
	for _, answer := range []string{"n\n", "", "\n", "yesterday\n"} {
		_, stderr, err := s.run(t, answer, "job", "rm", "db", "c", "--prefix", "job-1")
		if command.ExitCode(err) != 1 || !strings.Contains(stderr, "Cancel 1111 jobs of db/c? [y/N] ") {
			t.Errorf("after the answer %q: %q, %v", answer, stderr, err)
		}
	}
	if stdout, stderr, err = s.run(t, "y\n", "job", "rm", "db", "c", "--prefix", "job-1"); err != nil || stdout != "cancelled 1111 jobs of db/c\n" {
		t.Errorf("after the answer yes: %q, %q, %v", stdout, stderr, err)
	}
	s.prints(t, "cancelled 0 jobs of db\n", "job", "rm", "db", "--prefix", "none")
	s.prints(t, `{"cancelled":0,"skipped":0}`+"\n", "job", "rm", "db", "--prefix", "none", "--json")
	s.env.Terminal = false
	if got := sumOf(t, s.must(t, "job", "rm", "db", "--all", "--force", "--json"), func(c client.Cancelled) int { return c.Cancelled }); got != 1389 {
		t.Errorf("%d jobs are cancelled, want 1389", got)
	}
}

// sumOf adds up a field of answers; a slow machine gives more answers.
func sumOf(t *testing.T, lines string, field func(client.Cancelled) int) int {
	t.Helper()
	sum := 0
	for line := range strings.Lines(lines) {
		var answer client.Cancelled
		if err := json.Unmarshal([]byte(line), &answer); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		sum += field(answer)
	}
	return sum
}

func TestJobImportReportsFailures(t *testing.T) {
	t.Parallel()
	s, _ := shellAt(t)
	s.must(t, "route", "add", "db", "r", "--type", "NATS")
	file := filepath.Join(t.TempDir(), "jobs")
	const jobs = `{"id":"a","trigger_time":4102444800000,"route":"r"}
{"id":"b"}
nonsense
{"id":"c","trigger_time":4102444800000,"route":"r","meta":"x"}
`
	if err := os.WriteFile(file, []byte(jobs), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, err := s.run(t, "", "job", "import", "db", "c", file)
	if command.ExitCode(err) != 1 || err.Error() != "2 of 4 jobs failed" || stdout != "created 2 jobs, 2 failed\n" ||
		!matches(stderr, "line 2: ...(E005)\nline 3: ...(E002)\n") {
		t.Errorf("belfry job import: %q, %q, %v", stdout, stderr, err)
	}
	if _, stderr, _ = s.run(t, "", "job", "import", "db", "c", file, "--quiet"); stderr != "" {
		t.Errorf("belfry job import --quiet: %q", stderr)
	}
	stdout, _, err = s.run(t, jobs, "job", "import", "db", "c", "-", "--json", "--quiet")
	if command.ExitCode(err) != 1 || !matches(stdout, `{"line":1,"id":"a","status":"ok"}
{"line":2,...
{"line":3,...
{"line":4,"id":"c","status":"ok"}
`) {
		t.Errorf("belfry job import --json: %q, %v", stdout, err)
	}

	if _, stderr, _ = s.run(t, `{"id":"a","trigger_time":4102444800001,"route":"r"}`, "job", "import", "db", "c", "-"); !matches(stderr, "line 1 (\"a\"): ...(E102)\n") {
		t.Errorf("a job whose id is taken: %q", stderr)
	}

	// At a terminal there is a bar, and the failures stay readable.
	s.env.Terminal = true
	stdout, stderr, _ = s.run(t, "", "job", "import", "db", "c", file)
	if stdout != "created 2 jobs, 2 failed\n" || !strings.Contains(stderr, "importing") || !strings.Contains(stderr, "line 3: ") {
		t.Errorf("belfry job import at a terminal: %q, %q", stdout, stderr)
	}
}
