package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry/internal/client"
	"belfry/internal/job"
	"belfry/internal/waittest"
)

// While a backup is restored, clients create jobs of their own, and change,
// cancel and create anew those that the backup has, before and after these are
// there. What they were told is so holds: each job fires once after the restore,
// as they left it, or as the backup has it where they were refused.
func TestLoadWhileRestoring(t *testing.T) {
	t.Parallel()
	const n = 3000
	in := newReceiver(t, nil)
	file := overdue(t, n, in.url)
	p := startProgram(t, t.TempDir())
	c, err := client.New(p.ready["api"], "")
	if err != nil {
		t.Fatal(err)
	}
	rest, feed := io.Pipe()
	restored := make(chan error, 1)
	go func() {
		_, err := c.Upload(t.Context(), "/restore", rest)
		restored <- err
	}()
	sent := 0
	send := func(part float64) {
		t.Helper()
		to := int(part * float64(len(file)))
		if _, err := feed.Write(file[sent:to]); err != nil {
			t.Fatalf("couldn't send the backup: %v", err)
		}
		sent = to
	}
	send(0.3)
	waittest.Eventually(t, func() string {
		if a, err := p.do(http.MethodGet, "/job/db/coll/0", ""); err != nil || a.status != http.StatusOK {
			return fmt.Sprintf("the first job: %v (%v), want that it is restored", a, err)
		}
		return ""
	})
	in.route(t, p, "own")

	// The load. Each id is touched by one client, once.
	var mu sync.Mutex // guards what follows
	wants := map[string]plannedJob{}
	cancelled := map[string]bool{}
	var done [4]atomic.Int64 // that were answered with 200, by what was done
	var load sync.WaitGroup
	errorf := few(t)
	stop := make(chan struct{})
	busy := func(kind, from, to, step int, method, path string, body func(plannedJob) string, told func(plannedJob)) {
		load.Go(func() {
			for i := from; i != to; i += step {
				select {
				case <-stop:
					return
				default:
				}
				id := strconv.Itoa(i)
				j := plannedJob{id: id, due: time.Now().Add(time.Millisecond), meta: fmt.Sprintf(`"client %d"`, kind)}
				a, _, err := p.insist(method, strings.ReplaceAll(path, "ID", id), body(j))
				switch {
				case err != nil || a.status != http.StatusOK && a.status != http.StatusBadRequest:
					errorf("%s of job %s: %v (%v), want 200, or 400", method, id, a, err)
				case a.ok():
					mu.Lock()
					told(j)
					mu.Unlock()
					done[kind].Add(1)
				}
			}
		})
	}
	content := func(j plannedJob) string { return j.body("own") }
	keep := func(j plannedJob) { wants[j.id] = j }
	busy(0, n, n+100_000, 1, http.MethodPost, "/job/db/coll", content, keep)
	busy(1, 0, n/3, 1, http.MethodPut, "/job/db/coll/ID", content, keep)
	busy(2, n/3-1+n/3, n/3-1, -1, http.MethodDelete, "/job/db/coll/ID", func(plannedJob) string { return "" }, func(j plannedJob) { cancelled[j.id] = true })
	busy(3, n-1, 2*n/3, -1, http.MethodPost, "/job/db/coll", content, keep) // the last to be restored
	for _, part := range []float64{0.5, 0.7, 0.9} {
		before := done[0].Load()
		waittest.Eventually(t, func() string {
			if got := done[0].Load() - before; got < 50 {
				return fmt.Sprintf("%d jobs were created beside a part of the restore, want 50", got)
			}
			return ""
		})
		send(part)
	}
	if got := len(in.jobs()); got != 0 {
		t.Errorf("%d jobs fired before all of the backup was there", got)
	}
	send(1)
	feed.Close()
	if err := <-restored; err != nil {
		t.Fatalf("the restore: %v", err)
	}
	close(stop)
	load.Wait()
	for kind, what := range []string{"created", "changed", "cancelled", "created before the backup's own"} {
		if done[kind].Load() == 0 {
			t.Errorf("no job was %s during the restore", what)
		}
	}
	t.Logf("during the restore %d jobs were created, %d changed, %d cancelled, %d created before the backup's own",
		done[0].Load(), done[1].Load(), done[2].Load(), done[3].Load())

	for i := range n { // what nobody has touched
		id := strconv.Itoa(i)
		if _, changed := wants[id]; !changed && !cancelled[id] {
			wants[id] = plannedJob{id: id, meta: id}
		}
	}
	in.waitFor(t, len(wants))
	settled(t, p.jetStream(t), "db_r")
	settled(t, p.jetStream(t), "db_own")
	got := in.jobs()
	for id, want := range wants {
		posts := got[id]
		if len(posts) != 1 || posts[0].meta != want.meta || posts[0].at.Before(want.due) ||
			want.due.IsZero() && posts[0].fire != "fire"+id {
			errorf("job %s, due at %v, arrived as %v, want once as %s", id, want.due, posts, want.meta)
		}
	}
	for id := range cancelled {
		if len(got[id]) > 0 {
			errorf("job %s arrived as %v, and was cancelled", id, got[id])
		}
	}
	for id, r := range records(t, p.jetStream(t)) {
		want := job.Delivered
		if cancelled[id] {
			want = job.Cancelled
		}
		if r.status != want && id != "epoch" {
			errorf("job %s is %s at the end, want %s", id, r.status, want)
		}
	}
}
