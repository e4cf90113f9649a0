package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"

	"belfry/api"
	"belfry/api/service"
	"belfry/internal/command"
	"belfry/internal/fault"
	"belfry/internal/job"
	"belfry/internal/metrics"
	"belfry/streams/asset"
	"belfry/streams/routes"
	"belfry/streams/timer"
	"belfry/streams/wire"
)

// The documents have the tables that the code makes. With UPDATE_DOCS set the test
// writes them.
func TestDocumentedTables(t *testing.T) {
	for _, tt := range []struct{ file, mark, want string }{
		{"../../README.md", "endpoints", api.EndpointsMarkdown()},
		{"../../README.md", "errors", api.ErrorMarkdown()},
		{"../../README.md", "route fields", routeFieldsMarkdown()},
		{"../../docs/operations.md", "flags", flagsMarkdown()},
		{"../../docs/operations.md", "metrics", metrics.New(metrics.Build{}).Markdown()},
		{"../../docs/operations.md", "store faults", fault.Markdown()},
		{"../../docs/operations.md", "access", api.AccessMarkdown()},
		{"../../docs/nats.md", "nats endpoints", service.Markdown()},
		{"../../docs/operations.md", "stream settings", asset.SettingsMarkdown()},
		{"../../docs/operations.md", "consumer settings", routes.SettingsMarkdown()},
		{"../../docs/operations.md", "idle timers", timer.IdleMarkdown()},
		{"../../docs/cluster.md", "prefixed names", wire.PrefixMarkdown()},
		{"../../docs/cli.md", "commands", commandsMarkdown()},
		{"../../docs/cli.md", "exit codes", exitsMarkdown()},
		{"../../docs/operations.md", "service exits", serviceExitsMarkdown()},
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

// serviceExitsMarkdown is the table of how the service ends.
func serviceExitsMarkdown() string {
	var b strings.Builder
	b.WriteString("| exit code | meaning |\n|---|---|\n")
	for _, exit := range command.Exits() {
		if text, of := strings.CutPrefix(exit.Meaning, "Only of `belfry serve`: "); of {
			fmt.Fprintf(&b, "| %d | %s%s |\n", exit.Code, strings.ToUpper(text[:1]), text[1:])
		}
	}
	return b.String()
}

func flagsMarkdown() string {
	var b strings.Builder
	b.WriteString("| flag | default | meaning |\n|---|---|---|\n")
	for _, s := range flagTable() {
		def := "–"
		if s.def != "" {
			def = "`" + s.def + "`"
		}
		usage := strings.ReplaceAll(s.usage, "`", "")
		if s.common != "" {
			usage += "; else `" + s.common + "`"
		}
		fmt.Fprintf(&b, "| `--%s` | %s | %s |\n", s.name, def, usage)
	}
	return b.String()
}

// commandsMarkdown lists the commands, and the flags that only some of a server's
// commands have, with the commands that have them.
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

// The documents show the example programs as they compile.
func TestDocumentedPrograms(t *testing.T) {
	for name, file := range map[string]string{"receiver": "README.md", "subscriber": "README.md", "service": "docs/nats.md"} {
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		program, err := os.ReadFile("../../docs/examples/" + name + "/main.go")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "```go\n"+string(program)+"```\n") {
			t.Errorf("%s does not show docs/examples/%s/main.go as it is, which is\n%s", file, name, program)
		}
	}
}

// The source files that the documents name exist, so that no document keeps the old name
// of a file that was moved.
func TestDocumentedFiles(t *testing.T) {
	const root = "../.."
	documents, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	source := regexp.MustCompile("`([\\w-]+(?:/[\\w-]+)+\\.go)`")
	found := 0
	for _, document := range append(documents, root+"/README.md") {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range source.FindAllStringSubmatch(string(text), -1) {
			found++
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s names %s: %v", document, m[1], err)
			}
		}
	}
	if found < 10 {
		t.Errorf("found %d source files named, want at least 10", found)
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

// Each failure story of docs/testing.md has a test of its own, and the test exists.
func TestDocumentedStories(t *testing.T) {
	data, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "## Failure stories\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	test := regexp.MustCompile("^\\| .+ \\| .+ \\| `([a-z/]+)\\.(Test\\w+)` \\|$")
	tests, there := map[string]bool{}, map[string][]string{}
	rows := 0
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		if rows++; rows <= 2 {
			continue // the head
		}
		named := test.FindStringSubmatch(strings.TrimSpace(line))
		if named == nil {
			t.Errorf("the row names no test as in `streams.TestX`: %s", line)
			continue
		}
		dir, name := named[1], named[2]
		if tests[dir+"."+name] {
			t.Errorf("%s.%s is named twice", dir, name)
		}
		tests[dir+"."+name] = true
		if there[dir] == nil {
			there[dir] = testsIn(t, "../../"+dir)
		}
		if !slices.Contains(there[dir], name) {
			t.Errorf("there is no %s in %s", name, dir)
		}
	}
	if len(tests) < 15 {
		t.Errorf("%d stories have tests, want 15 at least", len(tests))
	}
}

// testsIn lists the test functions of a folder.
func testsIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(dir + "/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				names = append(names, fn.Name.Name)
			}
		}
	}
	return names
}
