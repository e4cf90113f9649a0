package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// handsFiles log what other hands did.
var handsFiles = []string{"audit.go", "report.go", "mender.go", "keys.go", "records.go", "consumers.go", "mend.go", "consumer.go", "removal.go"}

// docs/operations.md names the code's messages about what other hands do, and all of
// them.
func TestDocumentedFaults(t *testing.T) {
	data, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(data), "\n### Other hands\n")
	section, _, ended := strings.Cut(section, "\n## ")
	if !found || !ended {
		t.Fatal("docs/operations.md has no section Other hands")
	}
	var texts, logged []string
	files, err := filepath.Glob("../../streams/*.go")
	if err != nil {
		t.Fatal(err)
	}
	below, err := filepath.Glob("../../streams/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, below...)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					texts = append(texts, s)
				}
			}
			if s, ok := logMessage(n); ok && slices.Contains(handsFiles, filepath.Base(file)) {
				logged = append(logged, s)
			}
			return true
		})
	}
	if len(logged) < 8 {
		t.Errorf("the code logs %q; there should be more", logged)
	}
	for _, s := range logged {
		if !strings.Contains(section, "`"+s+"`") {
			t.Errorf("docs/operations.md does not have the message %q", s)
		}
	}
	named := regexp.MustCompile("`([a-z][^`]+ [^`]+)` \\((?:ERROR|WARN|INFO)").FindAllStringSubmatch(section, -1)
	if len(named) < 10 {
		t.Errorf("the section names %d messages; there should be more", len(named))
	}
	for _, m := range named {
		if !slices.Contains(texts, m[1]) {
			t.Errorf("no message of the code is %q", m[1])
		}
	}
}

// logMessage returns the constant message of a call that logs.
func logMessage(n ast.Node) (string, bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return "", false
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	at, logs := map[string]int{"Info": 0, "Warn": 0, "Error": 0, "Log": 2}[methodName(method)]
	if !ok || !logs || len(call.Args) <= at {
		return "", false
	}
	lit, ok := call.Args[at].(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

func methodName(s *ast.SelectorExpr) string {
	if s == nil {
		return ""
	}
	return s.Sel.Name
}
