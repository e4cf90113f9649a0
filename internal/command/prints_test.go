package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v3"

	"belfry/internal/command"
)

var update = flag.Bool("update", false, "write what the commands print to testdata/prints.txt")

// played is a server that plays the answers of testdata/answers.txt: a method, a
// path, a status and a body each. A method with a + is for a request with a cursor.
type played struct {
	answers map[string]string
	asked   []string
}

func newPlayed(t *testing.T) *played {
	t.Helper()
	text, err := os.ReadFile("testdata/answers.txt")
	if err != nil {
		t.Fatal(err)
	}
	p := &played{answers: map[string]string{}}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		words := strings.SplitN(line, " ", 3)
		p.answers[words[0]+" "+words[1]] = words[2]
	}
	return p
}

func (p *played) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	asked := r.Method + " " + r.RequestURI
	if tag := r.Header.Get("If-Match"); tag != "" {
		asked += " if " + tag
	}
	var fields map[string]any
	if json.Unmarshal(body, &fields) == nil {
		sorted, _ := json.Marshal(fields)
		asked += " " + string(sorted)
	}
	p.asked = append(p.asked, asked)
	key := r.Method + " " + r.URL.Path
	if more := r.Method + "+ " + r.URL.Path; p.answers[more] != "" && (fields["cursor"] != nil || r.URL.Query().Has("cursor")) {
		key = more
	}
	status, answer := 404, `{"error":"there is no such path","code":"E201"}`
	if known, ok := p.answers[key]; ok {
		fmt.Sscan(known, &status)
		answer = strings.ReplaceAll(known[4:], `}{"line"`, "}\n"+`{"line"`)
	}
	w.Header().Set("ETag", `"7"`)
	w.WriteHeader(status)
	io.WriteString(w, answer)
}

// Each command of testdata/prints.txt must make the requests listed there, and print
// the listed lines on standard output and on standard error (!), and end as listed
// (=).
func TestWhatCommandsPrint(t *testing.T) {
	t.Parallel()
	p := newPlayed(t)
	srv := httptest.NewServer(p)
	defer srv.Close()
	want, err := os.ReadFile("testdata/prints.txt")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	ran := 0
	for line := range strings.Lines(string(want)) {
		typed, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "$ belfry ")
		if !ok {
			if strings.HasPrefix(line, "#") {
				got.WriteString(line)
			}
			continue
		}
		ran++
		p.asked = nil
		var stdout, stderr bytes.Buffer
		env := command.Env{
			Getenv: func(name string) string { return map[string]string{"BELFRY_SERVER": srv.URL}[name] },
			Stdin:  strings.NewReader("{\"id\":\"a\"}\n"), Stdout: &stdout, Stderr: &stderr,
			Now: func() time.Time { return time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC) },
		}
		root := &cli.Command{
			Name: "belfry", Commands: command.Commands(env), Writer: io.Discard, ErrWriter: io.Discard,
			ExitErrHandler: func(context.Context, *cli.Command, error) {},
		}
		err := root.Run(t.Context(), append([]string{"belfry"}, strings.Fields(typed)...))
		fmt.Fprintf(&got, "\n$ belfry %s\n", typed)
		for _, asked := range p.asked {
			fmt.Fprintf(&got, "> %s\n", asked)
		}
		got.Write(stdout.Bytes())
		for said := range strings.Lines(stderr.String()) {
			fmt.Fprintf(&got, "! %s", said)
		}
		if err != nil {
			fmt.Fprintf(&got, "= %d: %s\n", command.ExitCode(err), command.Message(err))
		}
	}
	if *update {
		if err := os.WriteFile("testdata/prints.txt", got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" || ran < 50 {
		t.Errorf("%d commands print otherwise than testdata/prints.txt says (-want +got):\n%s", ran, diff)
	}
}
