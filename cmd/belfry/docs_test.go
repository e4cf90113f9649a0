package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"

	"belfry/api"
	"belfry/internal/command"
	"belfry/internal/job"
	"belfry/internal/metrics"
)

// The tables of the documents are those of the code. With UPDATE_DOCS set the
// test writes them.
func TestDocumentedTables(t *testing.T) {
	for _, tt := range []struct{ file, mark, want string }{
		{"../../README.md", "errors", api.ErrorMarkdown()},
		{"../../README.md", "route fields", routeFieldsMarkdown()},
		{"../../docs/operations.md", "flags", flagsMarkdown()},
		{"../../docs/operations.md", "metrics", metrics.New(metrics.Build{}).Markdown()},
		{"../../docs/operations.md", "access", api.AccessMarkdown()},
		{"../../docs/cli.md", "commands", commandsMarkdown()},
		{"../../docs/cli.md", "exit codes", exitsMarkdown()},
	} {
		data, err := os.ReadFile(tt.file)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		begin, end := "<!-- "+tt.mark+" -->\n", "<!-- /"+tt.mark+" -->"
		before, rest, ok := strings.Cut(text, begin)
		got, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no place marked %q", tt.file, tt.mark)
		}
		if got == tt.want {
			continue
		}
		if os.Getenv("UPDATE_DOCS") == "" {
			t.Errorf("the table %q of %s is not the code's (UPDATE_DOCS=1 go test writes it); got\n%s\nwant\n%s", tt.mark, tt.file, got, tt.want)
			continue
		}
		if err := os.WriteFile(tt.file, []byte(before+begin+tt.want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func flagsMarkdown() string {
	var b strings.Builder
	b.WriteString("| flag | default | meaning |\n|---|---|---|\n")
	for _, s := range flagTable() {
		def := "–"
		if s.def != "" {
			def = "`" + s.def + "`"
		}
		fmt.Fprintf(&b, "| `--%s` | %s | %s |\n", s.name, def, strings.ReplaceAll(s.usage, "`", ""))
	}
	return b.String()
}

// commandsMarkdown lists the commands, and the flags that not all of a server
// have, with the commands that have them.
func commandsMarkdown() string {
	var b strings.Builder
	root := newCommand(command.Env{})
	for _, group := range root.Commands {
		commands := group.Commands
		if len(commands) == 0 {
			commands = []*cli.Command{group}
		}
		if group.Name == "serve" || group.Name == "help" {
			continue
		}
		fmt.Fprintf(&b, "### belfry %s\n\n| command | does |\n|---|---|\n", group.Name)
		var flags []string // their rows, without the commands that have them
		having := map[string][]string{}
		for _, cmd := range commands {
			line := "belfry " + group.Name
			if cmd != group {
				line += " " + cmd.Name
			}
			fmt.Fprintf(&b, "| `%s` | %s |\n", strings.TrimSpace(line+" "+cmd.ArgsUsage), cmd.Usage)
			for _, f := range cmd.Flags {
				row := flagRow(f)
				if slices.Contains([]string{"server", "token", "json"}, f.Names()[0]) {
					continue
				}
				if having[row] == nil {
					flags = append(flags, row)
				}
				having[row] = append(having[row], "`"+cmd.Name+"`")
			}
		}
		b.WriteString("\n")
		if len(flags) == 0 {
			continue
		}
		b.WriteString("| flag | of | meaning |\n|---|---|---|\n")
		for _, row := range flags {
			name, usage, _ := strings.Cut(row, "|")
			fmt.Fprintf(&b, "| %s | %s | %s |\n", name, strings.Join(having[row], ", "), usage)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// flagRow is a flag and its meaning, with a bar between them.
func flagRow(f cli.Flag) string {
	d := f.(cli.DocGenerationFlag)
	usage, placeholder := d.GetUsage(), d.TypeName()
	if before, rest, ok := strings.Cut(usage, "`"); ok {
		placeholder, rest, _ = strings.Cut(rest, "`")
		usage = before + placeholder + rest
	}
	name := "--" + f.Names()[0]
	if d.TakesValue() {
		name += " " + placeholder
	}
	return "`" + name + "`|" + usage
}

func exitsMarkdown() string {
	var b strings.Builder
	b.WriteString("| exit code | meaning | of the error codes |\n|---|---|---|\n")
	for _, e := range command.Exits() {
		codes := "–"
		if len(e.Errors) > 0 {
			codes = strings.Join(e.Errors, ", ")
		}
		fmt.Fprintf(&b, "| %d | %s | %s |\n", e.Code, e.Meaning, codes)
	}
	return b.String()
}

func routeFieldsMarkdown() string {
	var b strings.Builder
	b.WriteString("| field | for | default | accepted | meaning |\n|---|---|---|---|---|\n")
	for _, f := range job.PolicyFields() {
		def := "–"
		if f.Default != "" {
			def = f.Default
		}
		types := "both"
		if len(f.For) == 1 {
			types = string(f.For[0])
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.Name, types, def, f.Accepts, f.Meaning)
	}
	return b.String()
}

// README shows the example programs as they compile.
func TestDocumentedPrograms(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, rest := range strings.Split(string(readme), "```go\n")[1:] {
		program, _, _ := strings.Cut(rest, "```\n")
		shown = append(shown, program)
	}
	for _, name := range []string{"receiver", "subscriber"} {
		program, err := os.ReadFile("../../docs/examples/" + name + "/main.go")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(shown, string(program)) {
			t.Errorf("README.md does not show docs/examples/%s/main.go as it is, which is\n%s", name, program)
		}
	}
}

// README names every status, reason and header that users can meet.
func TestDocumentedNames(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range job.Statuses() {
		names = append(names, string(s))
	}
	for _, r := range job.Reasons() {
		names = append(names, string(r))
	}
	for _, r := range job.Roles() {
		names = append(names, string(r))
	}
	for _, why := range job.Skips() {
		names = append(names, string(why))
	}
	names = append(names, job.HeaderID, job.HeaderTimestamp, job.HeaderSignature, job.HeaderDB, job.HeaderCollection,
		job.HeaderJobID, job.HeaderRoute, job.HeaderTriggerTime, job.HeaderAttempt, job.HeaderTrace)
	for _, name := range slices.Compact(names) {
		if !strings.Contains(string(data), "`"+name+"`") {
			t.Errorf("README.md does not mention `%s`", name)
		}
	}
}
