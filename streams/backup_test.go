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
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams"
)

// backup reads all there is.
func (f *fixture) backup() []job.Entry {
	f.t.Helper()
	var all []job.Entry
	err := f.Backups().Each(f.t.Context(), func(e job.Entry) error { all = append(all, e); return nil })
	if err != nil {
		f.t.Fatalf("couldn't make a backup: %v", err)
	}
	return all
}

// reader hands out entries, and then the error.
func reader(all []job.Entry, end error) func() (job.Entry, error) {
	return func() (job.Entry, error) {
		if len(all) == 0 {
			return job.Entry{}, end
		}
		e := all[0]
		all = all[1:]
		return e, nil
	}
}

func (f *fixture) restore(all []job.Entry) {
	f.t.Helper()
	if err := f.Backups().Restore(f.t.Context(), "b", reader(all, io.EOF)); err != nil {
		f.t.Fatalf("couldn't restore: %v", err)
	}
}

// same ignores what is a place in a store.
var same = cmp.Options{
	cmpopts.IgnoreFields(job.Record{}, "Revision", "Replaces", "Op"),
	cmpopts.IgnoreFields(job.Route{}, "Revision"),
	cmpopts.IgnoreFields(job.Letter{}, "Number"),
	cmpopts.IgnoreFields(job.Fire{}, "Seq", "Published", "Fired"),
	cmpopts.EquateApproxTime(time.Millisecond),
}

// full is a store that has something of everything, and what each is.
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
	f.create(newJob("firing", "slow", time.Now())) // nobody takes it
	f.reaches(newJob("firing", "", later).Key, job.Firing)
	f.create(newJob("dead", "gone", later))
	if err := f.Routes().Delete(t.Context(), gone.RouteKey, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Jobs().Fire(t.Context(), newJob("dead", "", later).Key); err != nil {
		t.Fatal(err)
	}
	f.reaches(newJob("dead", "", later).Key, job.Dead)
	f.Attempts().Keep(job.Fire{Key: newJob("later 1", "", later).Key}, job.Attempt{Number: 1, FireID: "x", Started: time.UnixMilli(1667659342626), Status: http.StatusTeapot})
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

// A backup of what was restored is that backup, whatever the partitions.
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
	// Once more it is refused.
	err := g.Backups().Restore(t.Context(), "b", reader(want, io.EOF))
	if !errors.Is(err, job.ErrNotEmpty) || !strings.Contains(err.Error(), "this very backup was restored here") {
		t.Errorf("restored once more: %v, want that it is not empty, and was restored", err)
	}
	if err := g.Backups().Restore(t.Context(), "other", reader(want, io.EOF)); !errors.Is(err, job.ErrNotEmpty) {
		t.Errorf("another restored: %v, want that it is not empty", err)
	}

	// Dead letters keep their time, for the filters too.
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
	// And they can be redriven.
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

// Nothing fires before all is there, on no node. What broke off is restored
// again, on top of what is there, and everything fires once.
func TestRestoreAgain(t *testing.T) {
	t.Parallel()
	g := open(t, streams.Config{Partitions: 4})
	nodes := []*node{g.node(), g.node()}
	for _, node := range nodes {
		eventually(t, "each node owns its part", func() bool { return node.Owned() == 2 })
	}
	var all []job.Entry
	const n = 1000
	due := time.Now().Add(-time.Minute)
	for i := range n {
		r := job.New(newJob(fmt.Sprint(i), "n", due), fmt.Sprint("F", i))
		r.Revision = uint64(i + 1)
		all = append(all, job.Entry{Job: &r})
	}
	// Of one that changed while it was backed up there is an older entry, too.
	old := *all[7].Job
	old.Trigger, old.Due, old.Revision = 1667659342626, 1667659342626, 3
	all = append(all, job.Entry{Job: &old})
	route := job.Route{RouteKey: job.RouteKey{DB: "db", ID: "n"}, Type: job.NATS}
	all = append(all, job.Entry{Route: &route})
	queued := job.Fire{Key: newJob("queued", "n", due).Key, Route: "n", Trigger: due.UnixMilli(), ID: "Q", Attempt: 1, Meta: []byte("1"), Claim: 5}
	waits := queued
	waits.Key, waits.ID = newJob("7", "", due).Key, "F7" // the job comes back as one that waits
	letter := job.Letter{Fire: queued, Died: due, Reason: job.ReasonUnread}
	other := letter
	other.ID = "another"
	for _, l := range []job.Letter{letter, {Fire: waits, Died: due, Reason: job.ReasonUnread}, other} {
		all = append(all, job.Entry{Letter: &l})
	}
	for _, f := range []job.Fire{queued, waits} {
		all = append(all, job.Entry{Fire: &f})
	}
	broken := errors.New("broken off")
	for _, upTo := range []int{0, 1, n / 2, n + 1, n + 3, len(all)} {
		if err := g.Backups().Restore(t.Context(), "b", reader(all[:upTo], broken)); !errors.Is(err, broken) {
			t.Fatalf("a restore that breaks off: %v, want its error", err)
		}
		if err := g.Backups().Restore(t.Context(), "other", reader(all, io.EOF)); !errors.Is(err, job.ErrNotEmpty) || !strings.Contains(err.Error(), "broke off") {
			t.Errorf("another backup meanwhile: %v, want that one broke off", err)
		}
	}
	for _, node := range nodes {
		eventually(t, "a node knows of the restore", func() bool { return node.Ready(t.Context()) != nil })
	}
	changed := newJob("5", "n", time.Now().Add(time.Hour))
	if err := g.Jobs().Update(t.Context(), changed, 0); err != nil {
		t.Fatal(err)
	}
	if fired := len(g.messages("FIRES", "fires.>")); fired != 1 {
		t.Errorf("%d fires before all is restored, want the one of the backup", fired)
	}
	g.restore(all)
	for i := range n {
		if i != 5 {
			g.reaches(newJob(fmt.Sprint(i), "n", due).Key, job.Published)
		}
	}
	if r := g.get(changed.Key); r.Status != job.Scheduled || r.Trigger != changed.Trigger {
		t.Errorf("the job that was changed meanwhile is %s for %d, want it left alone", r.Status, r.Trigger)
	}
	if r := g.get(old.Key); r.Trigger != due.UnixMilli() {
		t.Errorf("the trigger time of the older entry was restored over that of the newer")
	}
	fires := map[string]int{}
	for _, m := range g.messages("FIRES", "fires.>") {
		fires[m.Headers().Get("webhook-id")]++
	}
	for id, times := range fires {
		if times != 1 {
			t.Errorf("%s fired %d times, want once", id, times)
		}
	}
	if len(fires) != n || fires["Q"] != 1 { // all but one, and the one that was queued
		t.Errorf("%d fires, %d of them the one that was queued; want %d and 1", len(fires), fires["Q"], n)
	}
	page, err := g.Letters().List(t.Context(), job.LetterQuery{DB: "db"})
	if err != nil || len(page.Letters) != 2 {
		t.Errorf("%d letters (%v), want the two of jobs that do not wait", len(page.Letters), err)
	}
}

// Jobs that change all the time are in a backup all the same, none older than
// when it began.
func TestBackupWhileJobsChange(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{Partitions: 2})
	f.route("n", job.NATS)
	const n, writers = 400, 8
	base := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	for i := range n {
		f.create(newJob(fmt.Sprint(i), "n", base))
	}
	var acked [n]atomic.Int64 // milliseconds that the job was put off by
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
	for range 5 {
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
			if entries++; entries%50 == 0 {
				<-rounds // whoever takes the backup is slow
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

// Whatever answers are lost, and writes with them, all of a backup is there once.
func TestRestoreWithoutAnswers(t *testing.T) {
	t.Parallel()
	g := open(t, streams.Config{})
	var all []job.Entry
	const jobs, others = 100, 15
	due := time.Now().Add(time.Hour)
	for i := range jobs {
		r := job.New(newJob(fmt.Sprint(i), "n", due), fmt.Sprint("F", i))
		r.Revision = uint64(i + 1)
		all = append(all, job.Entry{Job: &r})
	}
	all = append(all, job.Entry{Route: &job.Route{RouteKey: job.RouteKey{DB: "db", ID: "n"}, Type: job.NATS}})
	fire := func(kind string, i int) job.Fire {
		return job.Fire{Key: newJob(fmt.Sprint(kind, i), "n", due).Key, Route: "n", Trigger: due.UnixMilli(), ID: fmt.Sprint(kind, i), Attempt: 1, Meta: []byte("1"), Claim: 1}
	}
	for i := range others {
		all = append(all, job.Entry{Letter: &job.Letter{Fire: fire("L", i), Died: due, Reason: job.ReasonUnread}})
	}
	for i := range others {
		f := fire("Q", i)
		all = append(all, job.Entry{Fire: &f})
	}
	var writes atomic.Int64
	g.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
		switch n := writes.Add(1); {
		case n%3 == 0: // lost on the way there
			return nil, nats.ErrTimeout
		case n%3 == 1: // or back
			_, _ = send(ctx, m)
			return nil, nats.ErrTimeout
		}
		return send(ctx, m)
	})
	g.restore(all)
	count := func(stream, subject string, want int) {
		t.Helper()
		ids := map[string]int{}
		for _, m := range g.messages(stream, subject) {
			ids[m.Subject()+m.Headers().Get("Belfry-Fire-Id")]++
		}
		for id, times := range ids {
			if times != 1 {
				t.Errorf("%s has %s %d times, want once", stream, id, times)
			}
		}
		if len(ids) != want {
			t.Errorf("%s has %d of the backup, want %d", stream, len(ids), want)
		}
	}
	count("KV_jobs_0", "$KV.jobs_0.*.*.*", jobs)
	count("DEAD", "dead.>", others)
	count("FIRES", "fires.>", others)
}
