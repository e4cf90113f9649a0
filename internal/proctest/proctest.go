// Package proctest builds the program for the tests of code that runs it.
package proctest

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Belfry builds a belfry, with additional flags of go build, and returns the path
// where it stays until the test ends.
func Belfry(t testing.TB, flags ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "belfry")
	args := append(append([]string{"build", "-o", path}, flags...), "belfry/cmd/belfry")
	if out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
		t.Fatalf("couldn't build belfry: %v\n%s", err, out)
	}
	return path
}
