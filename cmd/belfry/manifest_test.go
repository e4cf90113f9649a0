package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"belfry/internal/fault"
	"belfry/internal/logtest"
	"belfry/internal/storefolder"
	"belfry/internal/waittest"
	"belfry/streams/manifest"
)

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

// reachable is the program where every user can run it.
func reachable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "belfry")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "belfry")
	if err := os.Link(binary(t), path); err != nil { // it is on another disk
		data, err := os.ReadFile(binary(t))
		if err := errors.Join(err, os.WriteFile(path, data, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(path, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

// One file that belongs to somebody else destroys nothing: the start is refused,
// with the stream, the file and the reason, and when the owner is put right all
// jobs are there.
func TestUnreadableFileDestroysNothing(t *testing.T) {
	t.Parallel()
	plays(t)
	for _, file := range []string{"msgs/1.blk", "meta.inf", "meta.sum", "msgs", "msgs/index.db"} {
		for _, stream := range []string{"KV_jobs_0", "KV_routes", "FIRES"} {
			t.Run(stream+" "+file, func(t *testing.T) {
				t.Parallel()
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

// A folder of streams that cannot be listed is not an empty one.
func TestUnreadableFolder(t *testing.T) {
	t.Parallel()
	plays(t)
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
		if err := os.Rename(filepath.Join(data, manifest.FileName), away+".json"); err != nil {
			t.Fatal(err)
		}
		refusesStart(t, nil, data, []string{"stream " + stream + ": " + fault.StreamMissing})
		if _, err := os.Stat(filepath.Join(data, manifest.FileName)); !os.IsNotExist(err) {
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

// A start without the whole JetStream folder is no first start, and neither is one with
// an empty data folder where data is expected.
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

// A consumer whose files are unreadable is made anew, and the start goes on.
func TestUnreadableConsumerIsMended(t *testing.T) {
	t.Parallel()
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
