package streams_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"belfry/internal/job"
	"belfry/streams"
)

// backup reads a full backup.
func (f *fixture) backup() []job.Entry {
	f.t.Helper()
	var all []job.Entry
	err := f.Backups().Each(f.t.Context(), func(e job.Entry) error { all = append(all, e); return nil })
	if err != nil {
		f.t.Fatalf("couldn't make a backup: %v", err)
	}
	return all
}

// same ignores positions in a store.
var same = cmp.Options{
	cmpopts.IgnoreFields(job.Record{}, "Revision", "Replaces", "Op"),
	cmpopts.IgnoreFields(job.Route{}, "Revision"),
	cmpopts.IgnoreFields(job.Letter{}, "Number"),
	cmpopts.IgnoreFields(job.Fire{}, "Seq", "Published", "Fired"),
	cmpopts.EquateApproxTime(time.Millisecond),
}

// full returns a store that has some of everything, in every state.
func full(t *testing.T) *fixture {
	f := open(t, streams.Config{Partitions: 3})
	stop := f.run()
	defer stop()
	f.route("n", job.NATS)
	rest := f.route("r", job.REST)
	rest.Secret = job.EncodeSecret(make([]byte, 32))
	rest.PausedUntil = time.Now().Add(time.Hour).UnixMilli()
	if err := f.Routes().Replace(t.Context(), rest, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Routes().Rotate(t.Context(), rest.RouteKey, job.EncodeSecret([]byte(strings.Repeat("x", 32))), time.Hour); err != nil {
		t.Fatal(err)
	}
	gone := f.route("gone", job.REST)
	later := time.Now().Add(time.Hour)
	for i := range 20 {
		f.create(newJob(fmt.Sprint("later ", i), "r", later))
	}
	f.create(newJob("cancelled", "r", later))
	if err := f.Jobs().Cancel(t.Context(), newJob("cancelled", "", later).Key, 0); err != nil {
		t.Fatal(err)
	}
	f.create(newJob("fired", "n", time.Now()))
	f.reaches(newJob("fired", "", later).Key, job.Published)
	f.route("slow", job.REST)
	f.create(newJob("firing", "slow", time.Now())) // no worker takes it
	f.reaches(newJob("firing", "", later).Key, job.Firing)
	f.create(newJob("dead", "gone", later))
	if err := f.Routes().Delete(t.Context(), gone.RouteKey, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Jobs().Fire(t.Context(), newJob("dead", "", later).Key); err != nil {
		t.Fatal(err)
	}
	f.reaches(newJob("dead", "", later).Key, job.Dead)
	f.Attempts().Keep(job.Fire{Arming: job.Arming{Job: job.Job{Key: newJob("later 1", "", later).Key}}}, job.Attempt{Number: 1, FireID: "x", Started: time.UnixMilli(1667659342626), Status: http.StatusTeapot})
	written, end := context.WithCancel(t.Context())
	end()
	if err := f.Attempts().Run(written); err != nil {
		t.Fatal(err)
	}
	following, end := context.WithCancel(t.Context())
	defer end()
	go f.Tokens().Run(following)
	for range 2 {
		token, _ := job.Token{Role: job.Reader, AllDBs: true}.Issue(time.Now())
		if err := errors.Join(f.Tokens().Wait(t.Context()), f.Tokens().Create(t.Context(), token)); err != nil {
			t.Fatal(err)
		}
	}
	all, err := f.Tokens().List()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Tokens().Delete(t.Context(), all[0].ID); err != nil {
		t.Fatal(err)
	}
	return f
}

// A backup of a restored store equals the restored backup, whatever the partitions.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	want := full(t).backup()
	counts := job.EntryCounts{}
	for _, e := range want {
		counts[e.Kind()]++
	}
	all := job.EntryCounts{
		job.TokenEntry: 1, job.RevokedEntry: 1, job.JobEntry: 24, job.RouteEntry: 3,
		job.LetterEntry: 1, job.AttemptEntry: 1, job.FireEntry: 1,
	}
	if diff := cmp.Diff(all, counts); diff != "" {
		t.Fatalf("the entries wanted (-) and there (+) differ:\n%s", diff)
	}
	g := open(t, streams.Config{Partitions: 2, SyncAlways: true})
	g.restore(want)
	got := g.backup()
	for _, e := range want {
		if r := e.Job; r != nil && r.ID == "firing" && (r.Status != job.Scheduled || r.Attempt != 0 || r.FireID == "" || r.Due != r.Trigger) {
			t.Errorf("of a job that fires the backup has %+v; want it scheduled as before", r)
		}
	}
	byKey := cmpopts.SortSlices(func(a, b job.Entry) bool { return sortKey(a) < sortKey(b) })
	if diff := cmp.Diff(want, got, same, byKey); diff != "" {
		t.Errorf("the backup (-) and that of what was restored (+) differ:\n%s", diff)
	}
	// A second restore is refused.
	err := g.Backups().Restore(t.Context(), "b", reader(want, io.EOF))
	if !errors.Is(err, job.ErrNotEmpty) || !strings.Contains(err.Error(), "this very backup was restored here") {
		t.Errorf("restored once more: %v, want that it is not empty, and was restored", err)
	}
	if err := g.Backups().Restore(t.Context(), "other", reader(want, io.EOF)); !errors.Is(err, job.ErrNotEmpty) {
		t.Errorf("another restored: %v, want that it is not empty", err)
	}

	// Dead letters keep their time, which filters use, too.
	died := want[len(want)-3].Letter.Died
	for after, n := range map[int64]int{died.UnixMilli(): 1, died.UnixMilli() + 1: 0} {
		page, err := g.Letters().List(t.Context(), job.LetterQuery{DB: "db", After: after})
		if err != nil || len(page.Letters) != n {
			t.Errorf("%d letters died from %d on (%v), want %d", len(page.Letters), after, err, n)
		}
		page, err = g.Letters().List(t.Context(), job.LetterQuery{DB: "db", Before: after})
		if err != nil || len(page.Letters) != 1-n {
			t.Errorf("%d letters died before %d (%v), want %d", len(page.Letters), after, err, 1-n)
		}
	}
	// They can be redriven.
	g.route("gone", job.REST)
	run, err := g.Letters().RedriveEach(t.Context(), job.LetterQuery{DB: "db"})
	if err != nil || run.Done != 1 {
		t.Errorf("redriven: %+v, %v; want one", run, err)
	}
}

func sortKey(e job.Entry) string {
	key := ""
	if e.Job != nil {
		key = e.Job.ID
	}
	return fmt.Sprint(e.Kind(), key)
}

// Jobs that change all the time are still in a backup, and none is older than the start
// of the backup.
func TestBackupWhileJobsChange(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{Partitions: 2})
	f.route("n", job.NATS)
	const n, writers = 200, 8
	base := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	for i := range n {
		f.create(newJob(fmt.Sprint(i), "n", base))
	}
	var acked [n]atomic.Int64 // how many milliseconds the job was postponed by
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	defer load.Wait()
	defer stop()
	rounds := make(chan struct{}, 1000)
	for w := range writers {
		load.Go(func() {
			for by := int64(1); ; by++ {
				for i := w; i < n; i += writers {
					if err := f.Jobs().Update(ctx, newJob(fmt.Sprint(i), "n", base.Add(time.Duration(by)*time.Millisecond)), 0); err != nil {
						if ctx.Err() == nil {
							t.Errorf("couldn't change a job: %v", err)
						}
						return
					}
					acked[i].Store(by)
				}
				select {
				case rounds <- struct{}{}:
				default:
				}
			}
		})
	}
	for range writers {
		<-rounds
	}
	for range 3 {
		var before [n]int64
		for i := range before {
			before[i] = acked[i].Load()
		}
		newest := map[string]job.Record{}
		entries := 0
		err := f.Backups().Each(t.Context(), func(e job.Entry) error {
			if e.Job == nil {
				return nil
			}
			if entries++; entries%40 == 0 {
				<-rounds // the reader of the backup is slow
			}
			if e.Job.Revision > newest[e.Job.ID].Revision {
				newest[e.Job.ID] = *e.Job
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			r, ok := newest[fmt.Sprint(i)]
			if by := r.Trigger - base.UnixMilli(); !ok || by < before[i] {
				t.Errorf("job %d was put off by %d ms when the backup began; in it: %t, by %d ms", i, before[i], ok, by)
			}
		}
		t.Logf("%d entries of %d jobs", entries, n)
	}
}
