package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"belfry/api/client"
	"belfry/internal/backup"
	"belfry/internal/job"
	"belfry/internal/waittest"
)

// overdue writes a backup of jobs that are due, with their route.
func overdue(t *testing.T, n int, url string) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := backup.NewWriter(&file, backup.Header{ID: "overdue", Made: time.Now().UnixMilli(), Belfry: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	write := func(e job.Entry) {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	due := time.Now().Add(-time.Hour).UnixMilli()
	for i := range n {
		id := strconv.Itoa(i)
		r := job.New(job.Job{Key: job.Key{DB: "db", Collection: "coll", ID: id}, Trigger: due, Meta: []byte(id), Route: "r"}, "fire"+id)
		r.Revision = uint64(i + 1)
		write(job.Entry{Job: &r})
	}
	write(job.Entry{Route: &job.Route{RouteKey: job.RouteKey{DB: "db", ID: "r"}, Type: job.REST, WebhookURL: url}})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// A belfry is killed in the middle of a restore, started, and killed in the
// middle of the same restore; the third time all of it is restored. Until then
// nothing fires, and then each job once.
func TestKillWhileRestoring(t *testing.T) {
	t.Parallel()
	plays(t)
	const n = 3000
	in := newReceiver(t, nil)
	data := t.TempDir()
	file := overdue(t, n, in.url)
	for i, part := range []float64{0.3, 0.7} {
		p := startProgram(t, data)
		c, err := client.New(p.ready["api"], "")
		if err != nil {
			t.Fatal(err)
		}
		rest, killed := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			_, err := c.Upload(t.Context(), "/restore", io.MultiReader(bytes.NewReader(file[:int(part*float64(len(file)))]), rest))
			ended <- err
		}()
		js := p.jetStream(t)
		waittest.Eventually(t, func() string {
			s, err := js.Stream(t.Context(), "KV_jobs_0")
			if err != nil {
				return err.Error()
			}
			if got, want := s.CachedInfo().State.Msgs, part*n/2; float64(got) < want {
				return fmt.Sprintf("%d jobs are restored, want %.0f before the kill", got, want)
			}
			return ""
		})
		// The timer learns of the restore from its first job, which it may not have seen.
		waittest.Eventually(t, func() string {
			if a, err := p.do(http.MethodGet, "/readyz", ""); err != nil || a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "is being restored") {
				return fmt.Sprintf("restore %d: /readyz answers %v (%v), want 503 and why", i, a, err)
			}
			return ""
		})
		p.kill(t)
		killed.Close()
		if err := <-ended; err == nil {
			t.Fatal("the restore came to its end before the kill")
		}
	}
	p := startProgram(t, data)
	waittest.Eventually(t, func() string {
		if a, err := p.do(http.MethodGet, "/readyz", ""); err != nil || !strings.Contains(a.body, "is being restored") {
			return fmt.Sprintf("/readyz answers %v (%v), want that a restore broke off", a, err)
		}
		return ""
	})
	if got := len(in.jobs()); got != 0 {
		t.Errorf("%d jobs fired before all of the backup was there", got)
	}
	name := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if stdout, _, err := belfryCommand(t, p.at(), "restore", name); err != nil || stdout != "restored 3000 jobs, 1 route\n" {
		t.Fatalf("belfry restore: %q, %v", stdout, err)
	}
	in.waitFor(t, n)
	settled(t, p.jetStream(t), "db_r")
	p.must(t, http.MethodGet, "/readyz", "")
	errorf := few(t)
	for id, posts := range in.jobs() {
		if len(posts) != 1 || posts[0].fire != "fire"+id || posts[0].meta != id {
			errorf("job %s arrived as %v, want once as fire%s", id, posts, id)
		}
	}
	for id, r := range records(t, p.jetStream(t)) {
		if r.status != job.Delivered && id != "epoch" {
			errorf("job %s is %s at the end, want delivered", id, r.status)
		}
	}
	if _, _, err := belfryCommand(t, p.at(), "restore", name); err == nil || !strings.HasSuffix(err.Error(), "(E141)") {
		t.Errorf("restored once more: %v, want E141", err)
	}
}
