package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry/internal/job"
)

// named gives jobs ids of their own.
func named(name string, jobs []plannedJob) []plannedJob {
	for i := range jobs {
		jobs[i].id = name + jobs[i].id
	}
	return jobs
}

// A backup is made of a belfry that clients create, change and cancel jobs of
// while others fire; then that one is killed, and the backup is restored into a
// new one.
func TestBackupUnderLoad(t *testing.T) {
	const n = 3000
	in := newReceiver(t, nil)
	first := startProgram(t, t.TempDir())
	in.route(t, first, "r")
	now := time.Now()
	done := named("done", plannedJobs(100, now, time.Millisecond))
	first.createBulk(t, done, "r")
	in.waitFor(t, len(done))
	settled(t, first.jetStream(t), "db_r")
	later := now.Add(30 * time.Second)
	pending := named("pending", plannedJobs(n, later, time.Second))
	first.createBulk(t, pending, "r")
	cancelled := named("cancelled", plannedJobs(50, later, time.Second))
	first.createBulk(t, cancelled, "r")
	for _, j := range cancelled {
		first.must(t, http.MethodDelete, "/job/db/coll/"+j.id, "")
	}
	moved := named("moved", plannedJobs(20, later, time.Second))
	first.createBulk(t, moved, "r")
	toCancel := named("tocancel", plannedJobs(5000, later, time.Second))
	first.createBulk(t, toCancel, "r")

	// The load, from before the backup until after it.
	var load sync.WaitGroup
	var created, cancels, moves atomic.Int64
	lastMove := make([]atomic.Int64, len(moved)) // milliseconds that the job was moved by
	stop := make(chan struct{})
	errorf := few(t)
	busy := func(do func(i int) (answer, error)) {
		load.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if a, err := do(i); err != nil || !a.ok() {
					errorf("under load: %v (%v), want 200", a, err)
				}
			}
		})
	}
	ids := func(counter *atomic.Int64) int { return int(counter.Add(1)) }
	for range 2 {
		busy(func(int) (answer, error) { // due at once: they fire meanwhile
			j := plannedJob{id: "created" + strconv.Itoa(ids(&created)), due: time.Now(), meta: "1"}
			a, _, err := first.insist(http.MethodPost, "/job/db/coll", j.body("r"))
			return a, err
		})
	}
	busy(func(int) (answer, error) {
		i := ids(&cancels)
		if i >= len(toCancel) {
			<-stop
			return answer{200, `{"status":"ok"}`}, nil
		}
		a, _, err := first.insist(http.MethodDelete, "/job/db/coll/"+toCancel[i].id, "")
		return a, err
	})
	busy(func(i int) (answer, error) {
		k, by := i%len(moved), int64(i+1)
		j := moved[k]
		j.due = j.due.Add(time.Duration(by) * time.Millisecond)
		a, _, err := first.insist(http.MethodPut, "/job/db/coll/"+j.id, j.body("r"))
		if err == nil && a.ok() {
			lastMove[k].Store(by)
			moves.Add(1)
		}
		return a, err
	})
	eventually(t, func() string {
		if created.Load() < 50 || moves.Load() < 50 || cancels.Load() < 50 {
			return "the load has not begun"
		}
		return ""
	})
	movedBefore := make([]int64, len(moved))
	for i := range moved {
		movedBefore[i] = lastMove[i].Load()
	}
	cancelledBefore, createdBefore := cancels.Load()-1, created.Load()
	file := filepath.Join(t.TempDir(), "backup")
	stdout, _, err := belfryCommand(t, first.at(), "backup", file)
	if err != nil || !strings.HasPrefix(stdout, "backed up ") {
		t.Fatalf("belfry backup: %q, %v", stdout, err)
	}
	createdAfter, cancelledAfter := created.Load(), cancels.Load()
	close(stop)
	load.Wait()
	want := map[string]string{}
	for _, j := range done[:10] {
		for _, path := range []string{"/job/db/coll/" + j.id, "/job/db/coll/" + j.id + "/attempts"} {
			want[path] = first.must(t, http.MethodGet, path, "")
		}
	}
	first.kill(t)
	if time.Now().After(later) {
		t.Fatalf("the backup was made only %v after its jobs were due", time.Since(later))
	}
	t.Logf("%s; meanwhile %d were created, %d cancelled, %d moves in all", strings.TrimSpace(stdout),
		createdAfter-createdBefore, cancelledAfter-cancelledBefore, moves.Load())

	before := in.jobs()
	second := startProgram(t, t.TempDir())
	if stdout, _, err := belfryCommand(t, second.at(), "restore", file); err != nil || !strings.HasPrefix(stdout, "restored ") {
		t.Fatalf("belfry restore: %q, %v", stdout, err)
	}
	// Those that must fire, once and not before their time.
	in.wait(t, func() string {
		for _, j := range append(pending, moved...) {
			if len(in.byJob[j.id]) == 0 {
				return j.id + " has not arrived"
			}
		}
		return ""
	})
	eventually(t, func() string {
		for _, status := range []job.Status{job.Scheduled, job.Firing, job.Retrying} {
			var left []string
			second.walk(t, "/job/db?status="+string(status), func(_ int, ids []string) { left = append(left, ids...) })
			if len(left) > 0 {
				return fmt.Sprintf("jobs are %s: %q", status, left)
			}
		}
		return ""
	})
	got := in.jobs()
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
	for _, j := range pending {
		if p := got[j.id]; len(p) != 1 || p[0].meta != j.meta || p[0].at.Before(j.due) {
			errorf("%s, due at %v, arrived as %v, want once and not early", j.id, j.due, p)
		}
	}
	for i, j := range moved {
		due, err := strconv.ParseInt(got[j.id][0].header.Get(job.HeaderTriggerTime), 10, 64)
		if by := due - j.due.UnixMilli(); err != nil || by < movedBefore[i] {
			errorf("%s was moved by %d ms when the backup began, and fires as moved by %d", j.id, movedBefore[i], by)
		}
	}
	for _, j := range append(cancelled, toCancel[1:cancelledBefore]...) {
		if len(got[j.id]) > 0 {
			errorf("%s arrived, which was cancelled before the backup", j.id)
		}
	}
	for _, j := range toCancel[min(cancelledAfter+1, int64(len(toCancel))):] {
		if len(got[j.id]) != 1 {
			errorf("%s arrived %d times, want once: it was not cancelled", j.id, len(got[j.id]))
		}
	}
	for _, j := range done {
		if len(got[j.id]) != 1 {
			errorf("%s arrived %d times, want once, before the backup", j.id, len(got[j.id]))
		}
	}
	for i := range createdBefore - 2 { // two may be under way
		id := "created" + strconv.FormatInt(i+1, 10)
		if len(got[id]) == 0 {
			errorf("%s never arrived", id)
		}
	}
	for path, want := range want {
		if got := second.must(t, http.MethodGet, path, ""); got != want {
			errorf("GET %s: %s after the restore, want %s", path, got, want)
		}
	}
}
