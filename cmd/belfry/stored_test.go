package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"belfry/api/client"
	"belfry/internal/storefolder"
	"belfry/internal/waittest"
	"belfry/streams/manifest"
)

// stored makes a data folder with n jobs of the db games, and stops its belfry,
// cleanly or not.
func stored(t *testing.T, n int, clean bool) (data string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	p := startProgram(t, data)
	postTo(t, p, "/route/games", `{"id":"r","type":"NATS"}`)
	for i := range n {
		postTo(t, p, "/job/games/c", fmt.Sprintf(`{"id":"%d","trigger_time":%d,"meta":{"n":%d},"route":"r"}`, i, time.Now().Add(time.Hour).UnixMilli(), i))
	}
	if !clean {
		waitKnown(t, data, "KV_jobs_0", uint64(n))
		p.kill(t)
		return data
	}
	stop(t, p)
	return data
}

func stop(t *testing.T, p *running) string {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	log := p.wait(t)
	if p.err != nil {
		t.Errorf("a clean stop ended with %v:\n%s", p.err, log)
	}
	return log
}

func postTo(t *testing.T, p *running, path, body string) {
	t.Helper()
	rsp, err := http.Post(p.ready["api"]+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(rsp.Body)
		t.Fatalf("POST %s: %d %s", path, rsp.StatusCode, text)
	}
}

// waitKnown waits until the manifest knows that a stream has come so far.
func waitKnown(t *testing.T, data, stream string, last uint64) {
	t.Helper()
	waittest.Eventually(t, func() string {
		text, err := os.ReadFile(filepath.Join(data, manifest.FileName))
		if err != nil {
			return err.Error()
		}
		var m struct {
			Manifest struct {
				Known map[string]struct{ Last uint64 }
			}
		}
		if err := json.Unmarshal(text, &m); err != nil || m.Manifest.Known[stream].Last < last {
			return fmt.Sprintf("the manifest is %s, %v", text, err)
		}
		return ""
	})
}

// countJobs counts the jobs of games that can be read. A job that changes meanwhile may
// be listed twice.
func countJobs(t *testing.T, p *running) int {
	t.Helper()
	var got client.Jobs
	getFrom(t, p, "/job/games?limit=1000", http.StatusOK, &got)
	ids := map[string]bool{}
	for _, j := range got.Jobs {
		ids[j.ID] = true
	}
	return len(ids)
}

func getFrom(t *testing.T, p *running, path string, want int, into any) string {
	t.Helper()
	var rsp *http.Response
	waittest.Eventually(t, func() string { // the timer needs a moment
		var err error
		if rsp, err = http.Get(p.ready["api"] + path); err != nil {
			return err.Error()
		}
		if path == "/readyz" && rsp.StatusCode == http.StatusServiceUnavailable && want == http.StatusOK {
			defer rsp.Body.Close()
			text, _ := io.ReadAll(rsp.Body)
			return string(text)
		}
		return ""
	})
	defer rsp.Body.Close()
	text, err := io.ReadAll(rsp.Body)
	if err != nil || rsp.StatusCode != want {
		t.Fatalf("GET %s: %d %s, %v, want %d", path, rsp.StatusCode, text, err, want)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	return string(text)
}

// contentsOf lists the files of a folder with their sizes and modes.
func contentsOf(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			fmt.Fprintln(&b, strings.TrimPrefix(path, dir), info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func blocksOf(t *testing.T, data, stream string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(storefolder.Path(data), stream, "msgs", "*.blk"))
	if err != nil || len(files) == 0 {
		t.Fatalf("stream %s has %d blocks, %v", stream, len(files), err)
	}
	return files
}
