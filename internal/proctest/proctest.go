// Package proctest builds the program for tests of what runs it.
package proctest

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Belfry builds a belfry and returns where it is, until the test ends.
func Belfry(t testing.TB) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "belfry")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "belfry/cmd/belfry").CombinedOutput(); err != nil {
		t.Fatalf("couldn't build belfry: %v\n%s", err, out)
	}
	return path
}
