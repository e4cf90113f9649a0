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

	"belfry/api/client"
	"belfry/internal/job"
	"belfry/internal/waittest"
)

// While a backup is restored, clients create jobs of their own. They also change,
// cancel and create anew the backup's jobs, before and after these are restored. The
// answers that the clients got hold: each job fires once after the restore, as they
// left it, or as the backup has it if they were refused.
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

	load := startRivals(t, p, n)
	for _, part := range []float64{0.5, 0.7, 0.9} {
		before := load.done[0].Load()
		waittest.Eventually(t, func() string {
			if got := load.done[0].Load() - before; got < 50 {
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
	load.leave()
	for kind, what := range []string{"created", "changed", "cancelled", "created before the backup's own"} {
		if load.done[kind].Load() == 0 {
			t.Errorf("no job was %s during the restore", what)
		}
	}
	t.Logf("during the restore %d jobs were created, %d changed, %d cancelled, %d created before the backup's own",
		load.done[0].Load(), load.done[1].Load(), load.done[2].Load(), load.done[3].Load())

	load.check(t, n, in)
}

// rivals are clients that work on the jobs 0 to n of a backup while it is
// restored, and on others. Each id is touched by one client, once.
type rivals struct {
	p      *running
	errorf func(format string, args ...any)
	done   [4]atomic.Int64 // that were answered with 200, by what was done
	busy   sync.WaitGroup
	left   chan struct{} // closed when they are to leave
	leave  func()        // returns when they have left

	mu        sync.Mutex // guards the fields below
	wants     map[string]plannedJob
	cancelled map[string]bool
}

// startRivals starts them; they leave when the test ends at the latest.
func startRivals(t *testing.T, p *running, n int) *rivals {
	t.Helper()
	r := &rivals{p: p, errorf: few(t), left: make(chan struct{}), wants: map[string]plannedJob{}, cancelled: map[string]bool{}}
	r.leave = sync.OnceFunc(func() { close(r.left); r.busy.Wait() })
	t.Cleanup(r.leave)
	content := func(j plannedJob) string { return j.body("own") }
	nothing := func(plannedJob) string { return "" }
	keep := func(j plannedJob) { r.wants[j.id] = j }
	cancel := func(j plannedJob) { r.cancelled[j.id] = true }
	r.start(0, n, n+100_000, 1, http.MethodPost, "/job/db/coll", content, keep)
	r.start(1, 0, n/3, 1, http.MethodPut, "/job/db/coll/ID", content, keep)
	r.start(2, n/3-1+n/3, n/3-1, -1, http.MethodDelete, "/job/db/coll/ID", nothing, cancel)
	r.start(3, n-1, 2*n/3, -1, http.MethodPost, "/job/db/coll", content, keep) // the last to be restored
	return r
}

// start runs a client that makes a request for one id after the other.
func (r *rivals) start(kind, from, to, step int, method, path string, body func(plannedJob) string, told func(plannedJob)) {
	r.busy.Go(func() {
		for i := from; i != to; i += step {
			select {
			case <-r.left:
				return
			default:
			}
			id := strconv.Itoa(i)
			j := plannedJob{id: id, due: time.Now().Add(time.Millisecond), meta: fmt.Sprintf(`"client %d"`, kind)}
			a, _, err := r.p.insist(method, strings.ReplaceAll(path, "ID", id), body(j))
			switch {
			case err != nil || a.status != http.StatusOK && a.status != http.StatusBadRequest:
				r.errorf("%s of job %s: %v (%v), want 200, or 400", method, id, a, err)
			case a.ok():
				r.mu.Lock()
				told(j)
				r.mu.Unlock()
				r.done[kind].Add(1)
			}
		}
	})
}

// check waits until all jobs have fired, and compares that with what the clients
// were told, and with the backup where they were told nothing.
func (r *rivals) check(t *testing.T, n int, in *receiver) {
	t.Helper()
	for i := range n { // what nobody has touched
		id := strconv.Itoa(i)
		if _, changed := r.wants[id]; !changed && !r.cancelled[id] {
			r.wants[id] = plannedJob{id: id, meta: id}
		}
	}
	in.waitFor(t, len(r.wants))
	settled(t, r.p.jetStream(t), "db_r")
	settled(t, r.p.jetStream(t), "db_own")
	got := in.jobs()
	for id, want := range r.wants {
		posts := got[id]
		if len(posts) != 1 || posts[0].meta != want.meta || posts[0].at.Before(want.due) ||
			want.due.IsZero() && posts[0].fire != "fire"+id {
			r.errorf("job %s, due at %v, arrived as %v, want once as %s", id, want.due, posts, want.meta)
		}
	}
	for id := range r.cancelled {
		if len(got[id]) > 0 {
			r.errorf("job %s arrived as %v, and was cancelled", id, got[id])
		}
	}
	for id, rec := range records(t, r.p.jetStream(t)) {
		want := job.Delivered
		if r.cancelled[id] {
			want = job.Cancelled
		}
		if rec.status != want && id != "epoch" {
			r.errorf("job %s is %s at the end, want %s", id, rec.status, want)
		}
	}
}
