package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"belfry/api/client"
	"belfry/internal/logtest"
	"belfry/internal/waittest"
)

// statusWith returns the status of a GET of a job with a token.
func statusWith(t *testing.T, s *Server, token, db string) string {
	t.Helper()
	status, body := call(t, s, http.MethodGet, "/job/"+db+"/c/none", "", func(req *http.Request) {
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
	})
	var refused client.Error
	if err := json.Unmarshal([]byte(body), &refused); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return fmt.Sprint(status, " ", refused.Code)
}

// Two nodes on one NATS server: tokens are made with the commands on one, and
// work, and end, on both.
func TestTokensOnAllNodes(t *testing.T) {
	t.Parallel()
	const adminToken = "hunter2-is-my-admin-token"
	file := filepath.Join(t.TempDir(), "admin")
	if err := os.WriteFile(file, []byte(adminToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &logtest.Log{}
	start := func(cfg Config) *Server {
		s := New(cfg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	cfg := freePorts(t)
	cfg.AdminTokenFile = file
	a := start(cfg)
	b := start(Config{Listen: "127.0.0.1:0", NATSURL: a.NATSURL()}) // without an admin token
	const in, out, forbidden = "400 E101", "401 E401", "403 E403"

	env := map[string]string{"BELFRY_SERVER": "http://" + a.Addr(), "BELFRY_TOKEN": adminToken}
	stdout, stderr, err := belfryCommand(t, env, "token", "create", "--role", "writer", "--db", "games", "--db", "a b", "--expires", "720h", "--description", "CI")
	token := strings.TrimSpace(stdout)
	if err != nil || !strings.HasPrefix(token, "belfry_") || strings.Contains(stderr, token) || !strings.Contains(stderr, "writer of games,a b; it is not shown again") {
		t.Fatalf("belfry token create: %q, %q, %v", stdout, stderr, err)
	}
	id := strings.Split(token, "_")[1]
	for _, s := range []*Server{a, b} {
		waittest.Eventually(t, func() string {
			if got := statusWith(t, s, token, "games"); got != in {
				return "with the new token: " + got + ", want " + in
			}
			return ""
		})
		for token, want := range map[string]string{"": out, token + "x": out, "belfry_" + id + "_": out} {
			if got := statusWith(t, s, token, "games"); got != want {
				t.Errorf("with the token %q: %s, want %s", token, got, want)
			}
		}
		if got := statusWith(t, s, token, "other"); got != forbidden {
			t.Errorf("in another db: %s, want %s", got, forbidden)
		}
	}
	if got := statusWith(t, a, adminToken, "other"); got != in {
		t.Errorf("with the admin token: %s, want %s", got, in)
	}

	stdout, _, err = belfryCommand(t, env, "token", "ls")
	if err != nil || !strings.Contains(stdout, id) || !strings.Contains(stdout, "games,a b") || !strings.Contains(stdout, "CI") || strings.Contains(stdout, token) {
		t.Errorf("belfry token ls: %q, %v", stdout, err)
	}
	stdout, _, err = belfryCommand(t, map[string]string{}, "token", "ls", "--json", "--server", "http://"+a.Addr(), "--token", adminToken)
	if err != nil || !strings.HasPrefix(stdout, `{"id":"`+id+`","role":"writer","dbs":["games","a b"],"description":"CI","created_time":`) {
		t.Errorf("belfry token ls --json: %q, %v", stdout, err)
	}
	if _, _, err := belfryCommand(t, map[string]string{}, "token", "ls", "--server", "http://"+a.Addr(), "--token", token); err == nil || !strings.HasSuffix(err.Error(), "(E403)") {
		t.Errorf("belfry token ls as a writer: %v, want E403", err)
	}

	before := time.Now()
	if stdout, _, err := belfryCommand(t, env, "token", "rm", id); err != nil || stdout != "revoked "+id+"\n" {
		t.Errorf("belfry token rm: %q, %v", stdout, err)
	}
	if got := statusWith(t, a, token, "games"); got != out {
		t.Errorf("with the revoked token: %s, want %s", got, out)
	}
	waittest.Eventually(t, func() string {
		if got := statusWith(t, b, token, "games"); got != out {
			return "with the revoked token on the other node: " + got + ", want " + out
		}
		return ""
	})
	t.Logf("revoked on both nodes within %v", time.Since(before))
	if _, _, err := belfryCommand(t, env, "token", "rm", id); err == nil || !strings.HasSuffix(err.Error(), "(E131)") {
		t.Errorf("belfry token rm again: %v, want E131", err)
	}
	strict := start(Config{Listen: "127.0.0.1:0", NATSURL: a.NATSURL(), AdminTokenFile: file, RequestRate: 1})
	waittest.Eventually(t, func() string { // two within a second are enough
		if got := statusWith(t, strict, adminToken, "games"); got != "429 E429" {
			return "requests that follow each other: " + got + ", want 429 E429 for all but one a second"
		}
		return ""
	})
	_, secret, _ := strings.Cut(strings.TrimPrefix(token, "belfry_"), "_")
	for _, private := range []string{adminToken, "hunter2", secret} {
		if strings.Contains(log.String(), private) {
			t.Errorf("the log has %s", private)
		}
	}
}

func TestBadAdminTokenFileIsNoStart(t *testing.T) {
	t.Parallel()
	cfg := freePorts(t)
	cfg.AdminTokenFile = filepath.Join(t.TempDir(), "admin")
	for _, content := range []string{"", "hunter2", "hunter2 hunter2 hunter2"} {
		if err := os.WriteFile(cfg.AdminTokenFile, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		err := newServer(cfg).Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), adminTokenAccepts) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("with %q in the file: %v, want what is accepted, and nothing of it", content, err)
		}
	}
}

// The program takes the admin token from the environment.
func TestAdminTokenFromTheEnvironment(t *testing.T) {
	t.Parallel()
	cmd := program(t, []string{"BELFRY_ADMIN_TOKEN=hunter2"}, "serve")
	out, err := cmd.CombinedOutput()
	if exitCode(err) != 78 || !strings.Contains(string(out), "BELFRY_ADMIN_TOKEN: "+adminTokenAccepts) || strings.Contains(string(out), "hunter2") {
		t.Errorf("a bad token: exit code %d, %s", exitCode(err), out)
	}
}

func errText(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// Authentication that an admin token has turned on stays on without it, and one
// flag turns it off.
func TestAuthenticationStaysOn(t *testing.T) {
	t.Parallel()
	const adminToken = "hunter2-is-my-admin-token"
	cfg := freePorts(t)
	for _, step := range []struct {
		name     string
		admin    string
		off      bool
		bare, by string // the answers without a token, and with that one
	}{
		{"before there is any", "", false, "400 E101", "400 E101"},
		{"with an admin token", adminToken, false, "401 E401", "400 E101"},
		{"without it", "", false, "401 E401", "401 E401"},
		{"with it again", adminToken, false, "401 E401", "400 E101"},
		{"turned off", "", true, "400 E101", "400 E101"},
		{"still off", "", false, "400 E101", "400 E101"},
	} {
		cfg.AdminToken, cfg.AuthenticationOff = step.admin, step.off
		s := newServer(cfg)
		if err := s.Start(t.Context()); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := statusWith(t, s, "", "games"); got != step.bare {
			t.Errorf("%s: without a token %s, want %s", step.name, got, step.bare)
		}
		if got := statusWith(t, s, adminToken, "games"); got != step.by {
			t.Errorf("%s: with the admin token %s, want %s", step.name, got, step.by)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	cfg.AdminToken, cfg.AuthenticationOff = adminToken, true
	if err := newServer(cfg).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "exclude each other") {
		t.Errorf("off and an admin token: %v, want that they exclude each other", err)
	}
}
