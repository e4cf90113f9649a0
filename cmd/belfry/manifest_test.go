package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"belfry/internal/fault"
	"belfry/internal/logtest"
	"belfry/internal/storefolder"
	"belfry/internal/waittest"
	"belfry/streams"
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
		text, err := os.ReadFile(filepath.Join(data, streams.ManifestFile))
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

// countJobs counts the jobs of games that can be read.
func countJobs(t *testing.T, p *running) int {
	t.Helper()
	var got struct{ Jobs []json.RawMessage }
	getFrom(t, p, "/job/games?limit=1000", http.StatusOK, &got)
	return len(got.Jobs)
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

// refusesStart runs a belfry that must refuse to start, with those words in its
// one line of error, and returns all that it wrote.
func refusesStart(t *testing.T, attr *syscall.SysProcAttr, data string, words []string, args ...string) string {
	t.Helper()
	cmd := program(t, nil, append([]string{"serve", "--listen", "127.0.0.1:0", "--nats-listen", ":-1", "--data", data}, args...)...)
	if attr != nil { // its user has to reach it
		cmd.Dir, cmd.SysProcAttr = "/", attr
		cmd.Path = reachable(t)
	}
	out, err := cmd.CombinedOutput()
	if exitCode(err) != 78 {
		t.Fatalf("exit code %d, want 78:\n%s", exitCode(err), out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := lines[len(lines)-1]
	for _, w := range append(words, "belfry: ", "nothing was changed") {
		if !strings.Contains(last, w) {
			t.Errorf("the last line is %q, want %q in it", last, w)
		}
	}
	return string(out)
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

// nobody is another user than the one of the test, who owns a tree.
func nobody(t *testing.T, tree string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("skipped: it needs root, to start belfry as another user")
	}
	const id = 65534
	for dir := tree; dir != "/" && dir != "."; dir = filepath.Dir(dir) { // it has to reach the tree
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, info.Mode().Perm()|0o111); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.Walk(tree, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, id, id)
	})
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
}

// reachable is this binary where every user can run it.
func reachable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "belfry")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "belfry")
	if err := errors.Join(os.WriteFile(path, data, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

// One file that belongs to somebody else destroys nothing: the start is refused,
// with the stream, the file and the reason, and when the owner is put right all
// jobs are there.
func TestUnreadableFileDestroysNothing(t *testing.T) {
	for _, file := range []string{"msgs/1.blk", "meta.inf", "meta.sum", "msgs", "msgs/index.db"} {
		for _, stream := range []string{"KV_jobs_0", "KV_routes", "FIRES"} {
			t.Run(stream+" "+file, func(t *testing.T) {
				data := stored(t, 5, true)
				dir := storefolder.Path(data)
				attr := nobody(t, data)
				path := filepath.Join(dir, stream, file)
				if file == "msgs/1.blk" {
					path = blocksOf(t, data, stream)[0]
				}
				if err := os.Chown(path, 0, 0); err != nil {
					t.Fatal(err)
				}
				before := contentsOf(t, dir)
				for range 2 {
					refusesStart(t, attr, data, []string{"stream " + stream, fault.StreamUnreadable, path, "permission denied"})
					if after := contentsOf(t, dir); after != before {
						t.Fatalf("the refused start left\n%s\nwant\n%s", after, before)
					}
				}
				if err := os.Chown(path, 65534, 65534); err != nil {
					t.Fatal(err)
				}
				p := startProgram(t, data)
				if n := countJobs(t, p); n != 5 {
					t.Errorf("%d jobs, want 5", n)
				}
				if text := getFrom(t, p, "/readyz", http.StatusOK, nil); strings.Contains(text, "warnings") {
					t.Errorf("/readyz says %s", text)
				}
			})
		}
	}
}

func blocksOf(t *testing.T, data, stream string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(storefolder.Path(data), stream, "msgs", "*.blk"))
	if err != nil || len(files) == 0 {
		t.Fatalf("stream %s has %d blocks, %v", stream, len(files), err)
	}
	return files
}

// A folder of streams that cannot be listed is not an empty one.
func TestUnreadableFolder(t *testing.T) {
	data := stored(t, 5, true)
	attr := nobody(t, data)
	dir := storefolder.Path(data)
	for _, path := range []string{dir, filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		refusesStart(t, attr, data, []string{fault.StreamUnreadable, dir, "permission denied"})
		if err := os.Chmod(path, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	if n := countJobs(t, startProgram(t, data)); n != 5 {
		t.Errorf("%d jobs, want 5", n)
	}
}

// A stream that the server finds and does not recover is a refusal, with the
// server's reason, and its files stay.
func TestUnrecoveredStreamIsRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(dir string) error{
		"Missing stream metafile":    func(dir string) error { return os.Remove(filepath.Join(dir, "meta.inf")) },
		"Missing stream checksum":    func(dir string) error { return os.Remove(filepath.Join(dir, "meta.sum")) },
		"checksums do not match":     func(dir string) error { return os.WriteFile(filepath.Join(dir, "meta.inf"), []byte("{}"), 0o600) },
		"Error recreating stream":    func(dir string) error { return os.Mkdir(filepath.Join(dir, "meta.key"), 0o700) },
		"Bad stream encryption key ": func(dir string) error { return os.WriteFile(filepath.Join(dir, "meta.key"), nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := stored(t, 5, true)
			dir := storefolder.Path(data)
			aside := filepath.Join(t.TempDir(), "KV_jobs_0")
			if err := os.CopyFS(aside, os.DirFS(filepath.Join(dir, "KV_jobs_0"))); err != nil {
				t.Fatal(err)
			}
			if err := spoil(filepath.Join(dir, "KV_jobs_0")); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				refusesStart(t, nil, data, []string{"stream KV_jobs_0: " + fault.StreamUnrecovered, name})
				for _, file := range blocksOf(t, data, "KV_jobs_0") {
					if _, err := os.Stat(filepath.Join(aside, "msgs", filepath.Base(file))); err != nil {
						t.Errorf("a block is there that was not: %v", err)
					}
				}
			}
			p := startProgram(t, data, "--recreate-missing")
			if n := countJobs(t, p); n != 0 {
				t.Errorf("%d jobs in the new stream", n)
			}
			stop(t, p)
			kept, err := filepath.Glob(filepath.Join(data, "set-aside", "KV_jobs_0.*", "msgs", "*.blk"))
			if err != nil || len(kept) == 0 {
				t.Errorf("set aside: %v, %v, want the blocks", kept, err)
			}
			stop(t, startProgram(t, data)) // all is well again
		})
	}
}

// A stream's folder that is gone is a refusal, with and without a manifest.
func TestRemovedStreamIsRefused(t *testing.T) {
	t.Parallel()
	data := stored(t, 5, true)
	dir := storefolder.Path(data)
	for _, stream := range []string{"KV_jobs_0", "KV_belfry"} {
		away := filepath.Join(t.TempDir(), stream)
		if err := os.Rename(filepath.Join(dir, stream), away); err != nil {
			t.Fatal(err)
		}
		refusesStart(t, nil, data, []string{"stream " + stream + ": " + fault.StreamMissing, "--recreate-missing"})
		if err := os.Rename(filepath.Join(data, streams.ManifestFile), away+".json"); err != nil {
			t.Fatal(err)
		}
		refusesStart(t, nil, data, []string{"stream " + stream + ": " + fault.StreamMissing})
		if _, err := os.Stat(filepath.Join(data, streams.ManifestFile)); !os.IsNotExist(err) {
			t.Errorf("a refused start wrote a manifest: %v", err)
		}
		if err := os.Rename(away, filepath.Join(dir, stream)); err != nil {
			t.Fatal(err)
		}
		p := startProgram(t, data) // takes over data without a manifest
		if n := countJobs(t, p); n != 5 {
			t.Errorf("%d jobs, want 5", n)
		}
		stop(t, p)
	}
}

// The whole JetStream folder gone is no first start, and neither is an empty data
// folder where data is expected.
func TestEmptiedFolder(t *testing.T) {
	t.Parallel()
	data := stored(t, 1, true)
	if err := os.RemoveAll(filepath.Join(data, "jetstream")); err != nil {
		t.Fatal(err)
	}
	refusesStart(t, nil, data, []string{fault.StreamMissing, "KV_jobs_0"})
	empty := t.TempDir()
	refusesStart(t, nil, empty, []string{fault.NothingThere, empty}, "--existing-data")
	if out, err := os.ReadDir(filepath.Join(empty, "jetstream", "$G")); err == nil {
		t.Errorf("a refused first start made %v", out)
	}
	var log logtest.Log
	for i := range 2 {
		s := New(Config{Data: empty, Listen: "127.0.0.1:0", NATSListen: ":0", ExistingData: i > 0}, slog.New(slog.NewTextHandler(&log, nil)))
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), fault.NewStore); n != 1 || !strings.Contains(log.String(), "in="+empty) {
		t.Errorf("said %d times that the store is new:\n%s", n, log.String())
	}
	if !strings.Contains(log.String(), "jobs=0") {
		t.Errorf("the start does not say how many jobs there are:\n%s", log.String())
	}
}

// Damage is told until somebody accepts it, and costs no more than what is
// damaged.
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
				var said struct{ Warnings []string }
				getFrom(t, p, "/readyz", http.StatusOK, &said)
				if len(said.Warnings) == 0 || !strings.Contains(said.Warnings[0], fault.Damaged+": stream KV_jobs_0") {
					t.Fatalf("/readyz says %q", said.Warnings)
				}
				if text := getFrom(t, p, "/metrics", http.StatusOK, nil); !strings.Contains(text, fmt.Sprintf("\nbelfry_store_damage %d\n", len(said.Warnings))) {
					t.Error("the metric belfry_store_damage does not say so")
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

// A data folder that is removed, moved or replaced under a running belfry ends
// it, and what has taken its place is left alone.
func TestDataFolderLost(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(data string) error{
		"removed":      os.RemoveAll,
		"moved":        func(data string) error { return os.Rename(data, data+".away") },
		"lock removed": func(data string) error { return os.Remove(filepath.Join(data, lockFile)) },
		"streams gone": func(data string) error { return os.RemoveAll(filepath.Join(data, "jetstream")) },
		"messages gone": func(data string) error {
			return os.RemoveAll(filepath.Join(storefolder.Path(data), "KV_jobs_0", "msgs"))
		},
		"replaced": func(data string) error {
			if err := os.Rename(data, data+".away"); err != nil {
				return err
			}
			return os.CopyFS(data, os.DirFS(data+".away"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			p := startProgram(t, data)
			postTo(t, p, "/route/games", `{"id":"r","type":"NATS"}`)
			if err := lose(data); err != nil {
				t.Fatal(err)
			}
			var before string
			if name == "replaced" {
				before = contentsOf(t, data)
			}
			log := p.wait(t)
			if exitCode(p.err) != 78 || !strings.Contains(log, fault.FolderLost) || !strings.Contains(log, `"level":"ERROR"`) {
				t.Errorf("exit code %d, want 78 and an error; log:\n%s", exitCode(p.err), log)
			}
			if name == "replaced" {
				if after := contentsOf(t, data); after != before {
					t.Errorf("in the folder that took its place there is\n%s\nwant\n%s", after, before)
				}
			}
		})
	}
}

// A second process is refused though the lock file is gone, or the folder has
// another name.
func TestSecondProcessWithoutTheLockFile(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	d, err := lockData(data)
	if err != nil {
		t.Fatal(err)
	}
	defer d.unlock()
	if err := os.Remove(filepath.Join(data, lockFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := lockData(data); err == nil || !strings.Contains(err.Error(), errDataInUse.Error()) {
		t.Errorf("a second process: %v, want %v", err, errDataInUse)
	}
	if err := os.Rename(data, data+"2"); err != nil {
		t.Fatal(err)
	}
	if _, err := lockData(data + "2"); err == nil || !strings.Contains(err.Error(), errDataInUse.Error()) {
		t.Errorf("under another name: %v, want %v", err, errDataInUse)
	}
}

// While the folder is lost /readyz says so.
func TestReadyzOfALostFolder(t *testing.T) {
	t.Parallel()
	s := New(Config{Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0", NATSListen: ":0"}, slog.New(slog.DiscardHandler))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Stop(context.Background())
	s.loseData(fmt.Errorf("%s: it was removed", fault.FolderLost))
	rsp, err := http.Get("http://" + s.Addr() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	text, _ := io.ReadAll(rsp.Body)
	if rsp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), fault.FolderLost) {
		t.Errorf("/readyz: %d %s", rsp.StatusCode, text)
	}
	s.loseData(nil)
}

// A consumer whose files are unreadable is made anew, and the start goes on.
func TestUnreadableConsumerIsMended(t *testing.T) {
	data := stored(t, 5, true)
	attr := nobody(t, data)
	meta := filepath.Join(storefolder.Path(data), "FIRES", "obs", "games_r", "meta.inf")
	if err := os.Chown(meta, 0, 0); err != nil {
		t.Fatal(err)
	}
	p := startServingAs(t, attr, data)
	waittest.Eventually(t, func() string {
		if _, err := os.Stat(meta); err != nil {
			return err.Error()
		}
		return ""
	})
	if n := countJobs(t, p); n != 5 {
		t.Errorf("%d jobs, want 5", n)
	}
	kept, err := filepath.Glob(filepath.Join(data, "set-aside", "FIRES.games_r.*", "meta.inf"))
	if err != nil || len(kept) != 1 {
		t.Errorf("kept %v, %v", kept, err)
	}
}

// startServingAs is startProgram for another user.
func startServingAs(t *testing.T, attr *syscall.SysProcAttr, data string) *running {
	t.Helper()
	return startCommand(t, func(cmd *exec.Cmd) { cmd.Dir, cmd.SysProcAttr, cmd.Path = "/", attr, reachable(t) }, "--nats-listen", ":-1", "--data", data)
}
