//go:build !linux

package zoo_test

import "testing"

func blackhole(t testing.TB, _ string, _ int) {
	t.Helper()
	t.Skip("only on Linux does a full queue drop who calls")
}
