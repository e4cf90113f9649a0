package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"belfry/internal/fault"
	"belfry/internal/storefolder"
	"belfry/internal/waittest"
)

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
			// The server writes some files by their path, the states of consumers among
			// them. Those are written once they are made, and then when they change.
			for _, consumer := range []string{"FIRES/obs/games_r", "ADVISORIES/obs/bury"} {
				state := filepath.Join(storefolder.Path(data), filepath.FromSlash(consumer), "o.dat")
				waittest.Eventually(t, func() string {
					if _, err := os.Stat(state); err != nil {
						return fmt.Sprint("the state of a consumer: ", err)
					}
					return ""
				})
			}
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
