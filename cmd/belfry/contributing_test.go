package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// CONTRIBUTING.md names files, make targets and tests that exist, and the packages
// below streams in their order.
func TestContributing(t *testing.T) {
	t.Parallel()
	const root = "../.."
	text := readText(t, root+"/CONTRIBUTING.md")
	makefile := readText(t, root+"/Makefile")
	path := regexp.MustCompile(`^(\.?[\w-]+(/[\w.-]+)+|[\w.-]+\.(go|md|mod|json|txt)|Makefile)$`)
	command := regexp.MustCompile(`\bmake ([a-z][\w/-]*)`)
	run := regexp.MustCompile(`\bgo test (?:-run (Test\w+) )?\./([\w/]+)`)
	files, targets, runs := 0, 0, 0
	for _, code := range codeIn(text) {
		if path.MatchString(code) {
			files++
			if _, err := os.Stat(filepath.Join(root, code)); err != nil {
				t.Errorf("CONTRIBUTING.md names %s: %v", code, err)
			}
		}
		for _, m := range command.FindAllStringSubmatch(code, -1) {
			targets++
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("CONTRIBUTING.md names make %s, and the Makefile has no such target", m[1])
			}
		}
		for _, m := range run.FindAllStringSubmatch(code, -1) {
			runs++
			if tests := testsIn(t, filepath.Join(root, m[2])); len(tests) == 0 || m[1] != "" && !slices.Contains(tests, m[1]) {
				t.Errorf("CONTRIBUTING.md says %q, and ./%s has the tests %q", m[0], m[2], tests)
			}
		}
	}
	if files < 20 || targets < 5 || runs < 2 {
		t.Errorf("found %d files, %d make targets and %d runs of tests in CONTRIBUTING.md; the patterns must have missed some", files, targets, runs)
	}
	if want := strings.Join(rooms, ", "); !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
		t.Errorf("CONTRIBUTING.md does not list the packages below streams in their order, %s", want)
	}
}

// codeIn returns what a Markdown text shows as code: what stands in backticks, and the
// indented lines.
func codeIn(text string) []string {
	span := regexp.MustCompile("`([^`\n]+)`")
	var all []string
	for line := range strings.Lines(text) {
		if code, ok := strings.CutPrefix(line, "    "); ok {
			all = append(all, strings.TrimSpace(code))
			continue
		}
		for _, m := range span.FindAllStringSubmatch(line, -1) {
			all = append(all, m[1])
		}
	}
	return all
}
