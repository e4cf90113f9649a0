package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
)

// unwatched is the program without the race detector.
var unwatched struct {
	tests sync.Map // the names of the tests that use it
	build sync.Once
	dir   string
	err   error
}

// plays runs the processes of a test without the race detector, which makes them four
// times as slow. It is for tests of many jobs, files or routes. The other tests, and the
// chaos run, have the race detector watch the same code.
func plays(t *testing.T) {
	t.Helper()
	info, ok := debug.ReadBuildInfo()
	if !ok || !slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return // this binary is without it
	}
	unwatched.build.Do(func() {
		if unwatched.dir, unwatched.err = os.MkdirTemp("", "belfry"); unwatched.err != nil {
			return
		}
		// Not under the context of the test: the others use it, too.
		out, err := exec.Command("go", "build", "-race=false", "-o", unwatched.dir, "belfry/cmd/belfry").CombinedOutput()
		if err != nil {
			unwatched.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if unwatched.err != nil {
		t.Fatalf("couldn't build belfry: %v", unwatched.err)
	}
	unwatched.tests.Store(t.Name(), true)
}

// binary is the program that a test runs.
func binary(t *testing.T) string {
	name, _, _ := strings.Cut(t.Name(), "/")
	if _, ok := unwatched.tests.Load(name); ok {
		return filepath.Join(unwatched.dir, "belfry")
	}
	return os.Args[0]
}
