package main

import (
	goflag "flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// full has some tests play in the size that their promise is about, and checks Belfry
// against figures. It needs a machine without other work, and no race detector. make
// shows does so.
var full = goflag.Bool("full", false, "play the shows in full size")

// besideOthers has a test run in parallel, unless it measures.
func besideOthers(t *testing.T) {
	t.Helper()
	if !*full {
		t.Parallel()
	}
}

var cpuSeconds = regexp.MustCompile(`(?m)^process_cpu_seconds_total (\S+)$`)

// cpu returns how much processor time the process has used.
func (p *running) cpu(t *testing.T) time.Duration {
	t.Helper()
	text := p.must(t, http.MethodGet, "/metrics", "")
	found := cpuSeconds.FindStringSubmatch(text)
	if found == nil {
		t.Fatal("the metrics have no process_cpu_seconds_total")
	}
	s, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(s * float64(time.Second))
}

// profile profiles the process for a while, into a file of the test's.
func (p *running) profile(t *testing.T, name string, during time.Duration) {
	t.Helper()
	rsp, err := http.Get(fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", p.admin, int(during.Seconds())))
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	profile, err := io.ReadAll(rsp.Body)
	if err != nil || rsp.StatusCode != http.StatusOK {
		t.Fatalf("the profile: %d, %v", rsp.StatusCode, err)
	}
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name), profile, 0o644); err != nil {
		t.Fatal(err)
	}
}
