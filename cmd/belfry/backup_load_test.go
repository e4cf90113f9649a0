package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/internal/waittest"
)

// named gives jobs ids of their own.
func named(name string, jobs []plannedJob) []plannedJob {
	for i := range jobs {
		jobs[i].id = name + jobs[i].id
	}
	return jobs
}

// backedUp are the jobs that exist before a backup, by what happens to them.
type backedUp struct {
	done      []plannedJob // have fired
	cancelled []plannedJob
	pending   []plannedJob // are left alone
	moved     []plannedJob // are changed again and again
	toCancel  []plannedJob // are cancelled one after the other
}

// A belfry is backed up while clients create, change and cancel its jobs and others
// fire. Then it is killed, and the backup is restored into a new one.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	in := newReceiver(t, nil)
	begun := time.Now()
	first := startProgram(t, t.TempDir())
	in.route(t, first, "r")
	jobs := backedUp{done: named("done", plannedJobs(100, begun, time.Millisecond))}
	first.createBulk(t, jobs.done, "r")
	in.waitFor(t, len(jobs.done))
	settled(t, first.jetStream(t), "db_r")
	// The others come due during the restore, or after it. Their route is paused, so
	// that none fires before the backup is made, however long that takes.
	in.gated(t, first, "held", `"paused":true`)
	jobs.createPending(t, first, time.Now().Add(10*time.Second))

	load := startClients(t, first, jobs.toCancel, jobs.moved)
	waittest.Eventually(t, func() string {
		if now := load.soFar(); len(now.created) < 50 || now.moves < 50 || now.cancelled < 50 {
			return "the load has not begun"
		}
		return ""
	})
	before := load.soFar()
	file := filepath.Join(t.TempDir(), "backup")
	stdout, _, err := belfryCommand(t, first.at(), "backup", file)
	if err != nil || !strings.HasPrefix(stdout, "backed up ") {
		t.Fatalf("belfry backup: %q, %v", stdout, err)
	}
	after := load.soFar()
	load.leave()
	shown := map[string]string{} // the answers for finished jobs, by path
	for _, j := range jobs.done[:10] {
		for _, path := range []string{"/job/db/coll/" + j.id, "/job/db/coll/" + j.id + "/attempts"} {
			shown[path] = first.must(t, http.MethodGet, path, "")
		}
	}
	first.kill(t)
	t.Logf("%s; meanwhile %d were created, %d cancelled, %d moves", strings.TrimSpace(stdout),
		len(after.created)-len(before.created), after.cancelled-before.cancelled, after.moves-before.moves)

	arrived := in.jobs()
	second := startProgram(t, t.TempDir())
	if stdout, _, err := belfryCommand(t, second.at(), "restore", file); err != nil || !strings.HasPrefix(stdout, "restored ") {
		t.Fatalf("belfry restore: %q, %v", stdout, err)
	}
	second.must(t, http.MethodPost, "/route/db/held/resume", "")
	jobs.awaitEnd(t, second, in)
	checkRepeats(t, arrived, in.jobs())
	jobs.check(t, before, after, in.jobs())
	for path, want := range shown {
		if got := second.must(t, http.MethodGet, path, ""); got != want {
			t.Errorf("GET %s: %s after the restore, want %s", path, got, want)
		}
	}
}

// createPending creates the jobs that have not fired, and cancels the first of them.
func (b *backedUp) createPending(t *testing.T, p *running, due time.Time) {
	t.Helper()
	plan := func(name string, n int) []plannedJob {
		jobs := named(name, plannedJobs(n, due, time.Second))
		p.createBulk(t, jobs, "held")
		return jobs
	}
	b.pending = plan("pending", 500)
	b.cancelled = plan("cancelled", 50)
	for _, j := range b.cancelled {
		p.must(t, http.MethodDelete, "/job/db/coll/"+j.id, "")
	}
	b.moved = plan("moved", 20)
	b.toCancel = plan("tocancel", 1000)
}

// awaitEnd waits until the jobs that must fire have fired, and no job is pending.
func (b *backedUp) awaitEnd(t *testing.T, p *running, in *receiver) {
	t.Helper()
	in.waitEach(t, slices.Concat(b.pending, b.moved), some)
	waittest.Eventually(t, func() string {
		for _, status := range []job.Status{job.Scheduled, job.Firing, job.Retrying} {
			var left []string
			p.walk(t, "/job/db?status="+string(status), func(_ int, ids []string) { left = append(left, ids...) })
			if len(left) > 0 {
				return fmt.Sprintf("jobs are %s: %q", status, left)
			}
		}
		return ""
	})
}

// checkRepeats checks the arrivals after the restore: each job arrives at most once, not
// before its time, and with the same fire id if it had arrived before.
func checkRepeats(t *testing.T, before, got map[string][]post) {
	t.Helper()
	errorf := few(t)
	for id, posts := range got {
		again := posts[len(before[id]):]
		if len(again) > 1 {
			errorf("%s arrived %d times after the restore, want once at most", id, len(again))
		}
		for _, p := range again {
			due, err := strconv.ParseInt(p.header.Get(job.HeaderTriggerTime), 10, 64)
			if err != nil || p.at.UnixMilli() < due {
				errorf("%s, due at %d, arrived at %d", id, due, p.at.UnixMilli())
			}
			if len(before[id]) > 0 && before[id][0].fire != p.fire {
				errorf("%s arrived as %s, and as %s after the restore", id, before[id][0].fire, p.fire)
			}
		}
	}
}

// check compares the arrivals with the jobs, and with what the clients were told before
// the backup began and when it was made.
func (b *backedUp) check(t *testing.T, before, after told, got map[string][]post) {
	t.Helper()
	errorf := few(t)
	for _, j := range b.pending {
		if p := got[j.id]; len(p) != 1 || p[0].meta != j.meta || p[0].at.Before(j.due) {
			errorf("%s, due at %v, arrived as %v, want once and not early", j.id, j.due, p)
		}
	}
	for i, j := range b.moved {
		due, err := strconv.ParseInt(got[j.id][0].header.Get(job.HeaderTriggerTime), 10, 64)
		if by := due - j.due.UnixMilli(); err != nil || by < before.movedBy[i] {
			errorf("%s was moved by %d ms when the backup began, and fires as moved by %d", j.id, before.movedBy[i], by)
		}
	}
	for _, j := range append(b.cancelled, b.toCancel[:before.cancelled]...) {
		if len(got[j.id]) > 0 {
			errorf("%s arrived, which was cancelled before the backup", j.id)
		}
	}
	for _, j := range b.toCancel[min(after.cancelled+1, len(b.toCancel)):] {
		if len(got[j.id]) != 1 {
			errorf("%s arrived %d times, want once: it was not cancelled", j.id, len(got[j.id]))
		}
	}
	for _, j := range b.done {
		if len(got[j.id]) != 1 {
			errorf("%s arrived %d times, want once, before the backup", j.id, len(got[j.id]))
		}
	}
	for _, id := range before.created {
		if len(got[id]) == 0 {
			errorf("%s never arrived", id)
		}
	}
}
