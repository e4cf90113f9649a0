package loglimit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// once are lines about trouble that no outage repeats for each job, route or request.
// Each says something of its own, or has a bound of its own.
var once = map[string]string{
	"fault.FewCopies":                                                         "the start, and when it changes",
	"message left out of the backup":                                          "about one stored message",
	"message in FIRES dropped":                                                "about one stored message",
	"message in ATTEMPTS is none; it is left alone":                           "about one stored message",
	"advisory dropped":                                                        "about one message",
	"key in the jobs bucket is no job's; it is left alone":                    "about one key",
	"record in the jobs bucket is no job; it is left alone":                   "about one key",
	"key in the routes bucket is no route":                                    "about one key",
	"value in the tokens bucket is no token; DELETE /token/<key> removes it":  "about one key",
	"what is stored under a route's key is no route; its jobs wait":           "about one key",
	"JetStream isn't ready yet":                                               "the start, every few seconds",
	"the limit of consumers stays as it was":                                  "the start",
	"a clock differs from ours":                                               "once until it agrees again",
	"this machine cannot call webhooks: tries are put off and use no attempt": "once a minute, with a count",
}

// Each line with an error about jobs, routes and requests shows whether an outage
// repeats it: it uses Cause, or is in the list above.
func TestRepeatedErrorsAreCauses(t *testing.T) {
	unused := map[string]bool{}
	for line := range once {
		unused[line] = true
	}
	for _, dir := range []string{"../../streams", "../../delivery", "../../api"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				call, is := n.(*ast.CallExpr)
				if !is || !logsError(call) {
					return true
				}
				line, is := text(call.Args[0])
				if !is {
					line = types.ExprString(call.Args[0])
				}
				if _, listed := once[line]; !listed {
					t.Errorf("%s: %q has an error, and is no Cause", files.Position(call.Pos()), line)
				}
				delete(unused, line)
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for line := range unused {
		t.Errorf("nothing logs %q", line)
	}
}

// logsError reports whether a call is Info, Warn or Error of a logger, with an error.
func logsError(call *ast.CallExpr) bool {
	method, is := call.Fun.(*ast.SelectorExpr)
	if !is || method.Sel.Name != "Info" && method.Sel.Name != "Warn" && method.Sel.Name != "Error" {
		return false
	}
	if pkg, is := method.X.(*ast.Ident); is && pkg.Name == "loglimit" {
		return false
	}
	for i, arg := range call.Args {
		if key, is := text(arg); is && i > 0 && key == "error" {
			return true
		}
	}
	return false
}

func text(e ast.Expr) (string, bool) {
	lit, is := e.(*ast.BasicLit)
	if !is || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}
