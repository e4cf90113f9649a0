package fault_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"belfry/internal/fault"
)

// constants returns the names and words of the package's constants.
func constants(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, decl := range file.Decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			words, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all[v.Names[0].Name] = words
		}
	}
	return all
}

// Each fault has a row, and the program uses its words.
func TestEachFaultHasARowAndIsSaid(t *testing.T) {
	t.Parallel()
	words := constants(t)
	if len(words) < 10 {
		t.Fatalf("found %d constants", len(words))
	}
	rows := map[string]int{}
	for _, f := range fault.Table() {
		rows[f.Words]++
		for _, text := range []string{f.Where, f.Does, f.Do} {
			if text == "" || strings.Contains(text, "|") {
				t.Errorf("the row of %q has %q", f.Words, text)
			}
		}
	}
	used := usedNames(t)
	for name, text := range words {
		if rows[text] != 1 {
			t.Errorf("%s has %d rows, want 1", name, rows[text])
		}
		if !slices.Contains(used, name) {
			t.Errorf("nothing says fault.%s", name)
		}
	}
	if len(rows) != len(words) {
		t.Errorf("%d rows, want the %d constants", len(rows), len(words))
	}
}

// usedNames lists every name x used as fault.x in code other than tests.
func usedNames(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "fault" {
					names = append(names, sel.Sel.Name)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
