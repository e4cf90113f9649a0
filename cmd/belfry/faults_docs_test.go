package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The program says what the table of faults quotes: each log line,
// each word of /readyz and each metric in it is a text of the code.
func TestDocumentedFaultsNameRealMessages(t *testing.T) {
	t.Parallel()
	_, rest, begun := strings.Cut(readText(t, "../../docs/operations.md"), "<!-- faults -->")
	table, _, ended := strings.Cut(rest, "<!-- /faults -->")
	if !begun || !ended {
		t.Fatal("docs/operations.md has no table of faults")
	}
	var code strings.Builder
	for _, dir := range []string{"../../api", "../../cmd/belfry", "../../delivery", "../../internal", "../../streams"} {
		err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				code.WriteString(readText(t, path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// The code fills these in when it runs.
	put := regexp.MustCompile(`\d+(\.\d+)? ?(ms|s|min|bytes)\b|…`)
	quoted := regexp.MustCompile("`([^`]+)`")
	rows := 0
	for _, row := range strings.Split(strings.TrimSpace(table), "\n")[2:] {
		rows++
		cells := strings.Split(row, " | ")
		if len(cells) != 4 {
			t.Errorf("a row of the table of faults has %d cells, want 4: %s", len(cells), row)
			continue
		}
		for _, text := range quoted.FindAllStringSubmatch(cells[1], -1) {
			for _, part := range put.Split(text[1], -1) {
				if part = strings.TrimSpace(part); part != "" && !strings.Contains(code.String(), part) {
					t.Errorf("the table of faults quotes %q, and no text of the code has %q", text[1], part)
				}
			}
		}
	}
	if rows == 0 {
		t.Error("the table of faults is empty")
	}
}
