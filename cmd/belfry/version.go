package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"belfry/internal/metrics"
)

// version and commit are set by the build.
var (
	version = "dev"
	commit  string
)

// thisBuild says which build is running. A binary that was built without make may know
// its commit from Go.
func thisBuild() metrics.Build {
	b := metrics.Build{Version: version, Commit: commit, Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok && b.Commit == "" {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Commit = s.Value
			}
		}
	}
	b.Commit = cmp.Or(b.Commit, "unknown")
	return b
}

func printVersion(w io.Writer) error {
	b := thisBuild()
	_, err := fmt.Fprintf(w, "belfry %s (commit %s, nats-server %s, %s)\n", b.Version, b.Commit, natsserver.VERSION, b.Go)
	return err
}
