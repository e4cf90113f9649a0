package main

import (
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"belfry/internal/proctest"
)

// This is a short run against the real program, under the race detector if the test is.
func TestChaos(t *testing.T) {
	t.Parallel()
	var flags []string
	if underRace() {
		flags = append(flags, "-race")
	}
	var stdout, stderr strings.Builder
	err := run(t.Context(), []string{"--setting", "embedded", "--seed", "11", "--duration", "15s", "--belfry", proctest.Belfry(t, flags...)}, &stdout, &stderr)
	if err != nil {
		t.Errorf("%v\n%s%s", err, &stdout, &stderr)
	}
	t.Log("\n" + stdout.String())
}

// underRace reports whether this test was built with the race detector.
func underRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func TestBadArguments(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"now"}, `unexpected argument "now"; see chaos --help`},
		{[]string{"--setting", "moon"}, `--setting "moon": embedded and cluster are accepted`},
		{[]string{"--duration", "1s"}, `--duration 1s: 5s or more is accepted`},
	} {
		var stdout, stderr strings.Builder
		if err := run(t.Context(), tt.args, &stdout, &stderr); err == nil || err.Error() != tt.want {
			t.Errorf("chaos %q: %v, want %s", tt.args, err, tt.want)
		}
	}
}
