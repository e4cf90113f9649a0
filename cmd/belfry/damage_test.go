package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"belfry/api/client"
	"belfry/internal/fault"
)

// Damage is reported until somebody accepts it, and costs only what is damaged.
func TestDamagedBlocks(t *testing.T) {
	t.Parallel()
	const jobs = 109
	for _, clean := range []bool{true, false} {
		for name, tt := range map[string]struct {
			spoil func(t *testing.T, file string)
			least int
		}{
			"a flipped byte":     {func(t *testing.T, file string) { flip(t, file, 1) }, jobs - 1},
			"many flipped bytes": {func(t *testing.T, file string) { flip(t, file, 5) }, jobs - 5},
			"cut in half": {func(t *testing.T, file string) {
				info, err := os.Stat(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Truncate(file, info.Size()/2); err != nil {
					t.Fatal(err)
				}
			}, jobs / 3},
			"empty":   {func(t *testing.T, file string) { _ = os.Truncate(file, 0) }, 0},
			"removed": {func(t *testing.T, file string) { _ = os.Remove(file) }, 0},
		} {
			t.Run(fmt.Sprintf("%s after a clean stop %v", name, clean), func(t *testing.T) {
				t.Parallel()
				data := stored(t, jobs, clean)
				for _, file := range blocksOf(t, data, "KV_jobs_0") {
					if info, err := os.Stat(file); err == nil && info.Size() > 1000 {
						tt.spoil(t, file)
					}
				}
				p := startProgram(t, data)
				var said client.Ready
				getFrom(t, p, "/readyz", http.StatusOK, &said)
				if len(said.Warnings) == 0 || !strings.Contains(said.Warnings[0], fault.Damaged+": stream KV_jobs_0") {
					t.Fatalf("/readyz says %q", said.Warnings)
				}
				if text := getFrom(t, p, "/metrics", http.StatusOK, nil); !strings.Contains(text, fmt.Sprintf("\nbelfry_store_damage %d\n", len(said.Warnings))) {
					t.Error("the metric belfry_store_damage does not say so")
				}
				if out, _, err := belfryCommand(t, map[string]string{"BELFRY_SERVER": p.ready["api"]}, "status"); err != nil || !strings.Contains(out, fault.Damaged) {
					t.Errorf("belfry status: %s, %v", out, err)
				}
				if n := countJobs(t, p); n < tt.least || n >= jobs {
					t.Errorf("%d of %d jobs are left, want %d at least, and not all", n, jobs, tt.least)
				}
				p.kill(t)
				_, id, _ := strings.Cut(strings.TrimSuffix(said.Warnings[0], ")"), "--accept-damage ")
				p = startProgram(t, data) // it stays so
				if again := getFrom(t, p, "/readyz", http.StatusOK, nil); !strings.Contains(again, id) {
					t.Errorf("after another start /readyz says %s, want %s still", again, id)
				}
				stop(t, p)
				stop(t, startProgram(t, data, "--accept-damage", id))
				p = startProgram(t, data)
				if text := getFrom(t, p, "/readyz", http.StatusOK, nil); strings.Contains(text, "warnings") {
					t.Errorf("after it was accepted /readyz says %s", text)
				}
			})
		}
	}
}

// flip flips a byte in n messages, far apart.
func flip(t *testing.T, file string, n int) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		data[len(data)*(i+1)/(n+2)] ^= 0x10
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Starts after kill -9 while jobs are written and fire report no damage.
func TestNoDamageAfterKill(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for round := range 3 {
		p := startProgram(t, data)
		if text := getFrom(t, p, "/readyz", http.StatusOK, nil); strings.Contains(text, "warnings") {
			t.Fatalf("round %d: /readyz says %s", round, text)
		}
		if round == 0 {
			postTo(t, p, "/route/games", `{"id":"r","type":"NATS"}`)
		}
		for i := range 200 {
			postTo(t, p, "/job/games/c", fmt.Sprintf(`{"id":"%d-%d","trigger_time":%d,"meta":{},"route":"r"}`, round, i, time.Now().UnixMilli()))
		}
		p.kill(t)
	}
}
