package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// startIgnoring starts a server whose disk is said to ignore case.
func startIgnoring(t *testing.T) *Server {
	t.Helper()
	s := newServer(freePorts(t))
	s.ignoresCase = func(string) (bool, error) { return true, nil }
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
	return s
}

// Every way to make a route refuses a route whose folder is taken, and says why.
func TestRouteThatDiffersInCase(t *testing.T) {
	t.Parallel()
	s := startIgnoring(t)
	sh := newShell(map[string]string{"BELFRY_SERVER": "http://" + s.Addr()})
	sh.must(t, "route", "add", "games", "Tn", "--type", "nats")
	const reason = `the disk of the NATS server does not tell upper from lower case: route "tn" in db "games" would share the folder of the consumer games_Tn; take a name that differs in more than case`
	status, body := call(t, s, http.MethodPost, "/route/games", `{"id":"tn","type":"NATS"}`)
	if want := `{"error":` + quoted(reason) + `,"code":"E112"}`; status != http.StatusBadRequest || body != want {
		t.Errorf("POST: %d %s, want 400 %s", status, body, want)
	}
	if got := asked(t, connect(t, s.NATSURL()).Conn(), "belfry.route.create.games", `{"id":"tn","type":"NATS"}`); got != body {
		t.Errorf("over NATS: %s, want %s", got, body)
	}
	sh.fails(t, 5, reason, "route", "add", "games", "tn", "--type", "nats")
	if status, body := call(t, s, http.MethodGet, "/route/games/tn", ""); status != http.StatusBadRequest || !strings.Contains(body, "E106") {
		t.Errorf("GET of what was refused: %d %s", status, body)
	}

	// A backup of a usual disk that has both.
	usual, _ := shellAt(t)
	for _, id := range []string{"Tn", "tn"} {
		usual.must(t, "route", "add", "games", id, "--type", "nats")
	}
	name := filepath.Join(t.TempDir(), "backup")
	usual.must(t, "backup", name)
	sh = newShell(map[string]string{"BELFRY_SERVER": "http://" + startIgnoring(t).Addr()})
	sh.fails(t, 5, "does not tell upper from lower case", "restore", name)
}

func TestIgnoresCase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if got, err := ignoresCase(dir); err != nil || got != ignoresHere(t, dir) {
		t.Errorf("ignoresCase = %v, %v", got, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	if _, err := ignoresCase(filepath.Join(dir, "missing")); err == nil {
		t.Error("of a folder that is not there it says something")
	}
}

// ignoresHere finds out in another way whether the disk ignores case.
func ignoresHere(t *testing.T, dir string) bool {
	t.Helper()
	name := filepath.Join(dir, "name")
	if err := os.Mkdir(name, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(name)
	_, err := os.Stat(filepath.Join(dir, "NAME"))
	return err == nil
}

// On a real disk that ignores case, an accepted route keeps its unread fires over a
// restart.
func TestRestartOnADiskThatIgnoresCase(t *testing.T) {
	t.Parallel()
	data := filepath.Join(caseInsensitiveMount(t), "data")
	p := startProgram(t, data)
	p.must(t, http.MethodPost, "/route/db", `{"id":"Tn","type":"NATS"}`)
	if a, err := p.do(http.MethodPost, "/route/db", `{"id":"tn","type":"NATS"}`); err != nil || !strings.Contains(a.body, "E112") {
		t.Errorf("the other name: %v, %v; want E112", a, err)
	}
	p.must(t, http.MethodPost, "/job/db/coll", `{"id":"1","trigger_time":1667659342626,"route":"Tn"}`)
	p.becomes(t, "/job/db/coll/1", "published")
	p.kill(t)
	p = startProgram(t, data)
	c, err := p.jetStream(t).Consumer(t.Context(), "FIRES", "db_Tn")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(jetstream.FetchMaxWait(patience)); err != nil {
		t.Errorf("the fire after the restart: %v", err)
	}
}

// caseInsensitiveMount mounts a file with a file system that ignores case, or skips
// the test.
func caseInsensitiveMount(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a disk that ignores case")
	}
	var tried []string
	for _, how := range []struct {
		make []string
		then func(dir string) error
	}{
		{[]string{"mkfs.vfat"}, nil},
		{[]string{"mkfs.xfs", "-q", "-n", "version=ci"}, nil},
		{[]string{"mkfs.ext4", "-q", "-O", "casefold", "-E", "encoding=utf8"}, func(dir string) error {
			return exec.CommandContext(t.Context(), "chattr", "+F", dir).Run()
		}},
	} {
		image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
		if err := os.WriteFile(image, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(image, 512<<20); err != nil {
			t.Fatal(err)
		}
		run := func(args ...string) bool {
			out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
			if err != nil {
				tried = append(tried, strings.Join(args, " ")+": "+err.Error()+" "+strings.TrimSpace(string(out)))
			}
			return err == nil
		}
		if !run(append(how.make, image)...) || !run("mount", "-o", "loop", image, dir) {
			continue
		}
		t.Cleanup(func() {
			if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
				t.Errorf("umount: %v %s", err, out)
			}
		})
		root := filepath.Join(dir, "root")
		if err := os.Mkdir(root, 0o700); err != nil {
			t.Fatal(err)
		}
		if how.then != nil {
			if err := how.then(root); err != nil {
				t.Fatal(err)
			}
		}
		return root
	}
	t.Skip("no disk that ignores case can be mounted here: " + strings.Join(tried, "; "))
	return ""
}
