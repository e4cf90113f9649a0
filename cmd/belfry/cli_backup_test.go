package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"belfry/internal/backup"
	"belfry/internal/command"
	"belfry/internal/job"
	"belfry/internal/waittest"
)

// readBackup reads a backup to its end.
func readBackup(from io.Reader) error {
	file, err := backup.NewReader(from)
	for err == nil {
		_, err = file.Next()
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// Tokens come back as they were, the revoked ones too.
func TestBackupOfTokens(t *testing.T) {
	t.Parallel()
	const adminToken = "hunter2-is-my-admin-token"
	start := func() (*Server, map[string]string) {
		cfg := freePorts(t)
		cfg.AdminToken = adminToken
		s := startServer(t, cfg)
		return s, map[string]string{"BELFRY_SERVER": "http://" + s.Addr(), "BELFRY_TOKEN": adminToken}
	}
	_, env := start()
	var tokens []string
	for range 2 {
		out, _, err := belfryCommand(t, env, "token", "create", "--role", "writer", "--all-dbs")
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, strings.TrimSpace(out))
	}
	if _, _, err := belfryCommand(t, env, "token", "rm", strings.Split(tokens[1], "_")[1]); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(name, []byte("an earlier one"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _, err := belfryCommand(t, env, "backup", "--json", name)
	var told struct {
		Status   string          `json:"status"`
		BackedUp job.EntryCounts `json:"backed_up"`
	}
	if err == nil {
		err = json.Unmarshal([]byte(out), &told)
	}
	if err != nil || told.Status != "ok" || told.BackedUp[job.TokenEntry] != 1 || told.BackedUp[job.RevokedEntry] != 1 {
		t.Fatalf("belfry backup --json: %s, %v; want one token and a revoked one", out, err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode of the backup is %v (%v), want that only its owner reads it", info.Mode(), err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(name), ".*")); err != nil || len(left) > 0 {
		t.Errorf("beside the backup there are %q (%v)", left, err)
	}
	second, env2 := start()
	if out, _, err := belfryCommand(t, env2, "restore", name); err != nil || out != "restored 1 token, 1 revoked token\n" {
		t.Fatalf("belfry restore: %q, %v", out, err)
	}
	for token, want := range map[string]string{tokens[0]: "400 E101", tokens[1]: "401 E401", "": "401 E401", adminToken: "400 E101"} {
		waittest.Eventually(t, func() string {
			if got := statusWith(t, second, token, "db"); got != want {
				return fmt.Sprintf("with a token: %s, want %s", got, want)
			}
			return ""
		})
	}
	// Without the admin's token there is none, and no file is made.
	delete(env, "BELFRY_TOKEN")
	none := filepath.Join(t.TempDir(), "none")
	if _, _, err := belfryCommand(t, env, "backup", none); err == nil || !strings.HasSuffix(err.Error(), "(E401)") {
		t.Errorf("without a token: %v, want E401", err)
	}
	if _, err := os.Stat(none); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of a backup that was not made: %v, want that there is none", err)
	}
}

// A bad backup is not sent, and one that ends early is not kept.
func TestBadBackups(t *testing.T) {
	t.Parallel()
	s := startServer(t, freePorts(t))
	env := map[string]string{"BELFRY_SERVER": "http://" + s.Addr()}
	file := overdue(t, 100, "http://127.0.0.1:1")
	altered := bytes.Clone(file)
	altered[len(altered)/2] ^= 1
	for what, content := range map[string][]byte{"cut off": file[:len(file)-30], "altered": altered, "text": []byte("hello")} {
		name := filepath.Join(t.TempDir(), "backup")
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := belfryCommand(t, env, "restore", name); err == nil || !strings.Contains(err.Error(), "nothing was restored from "+name) || !errors.Is(err, job.ErrBackup) {
			t.Errorf("a backup that is %s: %v, want that nothing was restored", what, err)
		}
	}
	if status, body := call(t, s, http.MethodGet, "/job/db", ""); body != `{"jobs":[]}` {
		t.Errorf("after that there are jobs: %d %s", status, body)
	}
	for _, args := range [][]string{{"restore"}, {"restore", "/nowhere/at/all"}, {"backup"}, {"backup", ""}, {"backup", "/nowhere/at/all"}} {
		if _, _, err := belfryCommand(t, env, args...); err == nil {
			t.Errorf("belfry %q is no error", args)
		}
	}
	out, told, err := belfryCommand(t, env, "backup", "-")
	if wrong := readBackup(strings.NewReader(out)); err != nil || wrong != nil || told != "backed up nothing, since there is nothing\n" {
		t.Errorf("belfry backup -: %q, %v, %v", told, err, wrong)
	}

	// The server that answers ends in the middle.
	cut := newReceiver(t, nil)
	kept := filepath.Join(t.TempDir(), "kept")
	_ = os.WriteFile(kept, []byte("an earlier one"), 0o600)
	if _, _, err := belfryCommand(t, map[string]string{"BELFRY_SERVER": cut.url}, "backup", kept); err == nil || !strings.Contains(err.Error(), "no backup was made") {
		t.Errorf("of a server that sends nothing: %v, want that no backup was made", err)
	}
	cutting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(file[:len(file)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer cutting.Close()
	if _, _, err := belfryCommand(t, map[string]string{"BELFRY_SERVER": cutting.URL}, "backup", kept); command.ExitCode(err) != 6 || !strings.Contains(err.Error(), "no backup was made") {
		t.Errorf("of a server that ends in the middle: exit code %d, %v; want 6, and that no backup was made", command.ExitCode(err), err)
	}
	if got, err := os.ReadFile(kept); string(got) != "an earlier one" || err != nil {
		t.Errorf("the earlier backup is %q, %v", got, err)
	}
}
