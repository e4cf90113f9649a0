package streams_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams"
)

// reader returns the entries one by one, and then the error.
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

// Nothing fires before everything is there, on any node. A restore that broke off is
// repeated on top of what is there, and everything fires once.
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
	// For a job that changed during the backup there is an older entry, too.
	old := *all[7].Job
	old.Trigger, old.Due, old.Revision = 1667659342626, 1667659342626, 3
	all = append(all, job.Entry{Job: &old})
	route := job.Route{RouteKey: job.RouteKey{DB: "db", ID: "n"}, Type: job.NATS}
	all = append(all, job.Entry{Route: &route})
	queued := job.Fire{Arming: job.Arming{Job: job.Job{Key: newJob("queued", "n", due).Key, Route: "n", Trigger: due.UnixMilli(), Meta: []byte("1")}, FireID: "Q", Attempt: 1}, Claim: 5}
	waits := queued
	waits.Key, waits.FireID = newJob("7", "", due).Key, "F7" // the job comes back as a waiting one
	letter := job.Letter{Fire: queued, Died: due, Reason: job.ReasonUnread}
	other := letter
	other.FireID = "another"
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
	if len(fires) != n || fires["Q"] != 1 { // all but one, and the queued one
		t.Errorf("%d fires, %d of them the one that was queued; want %d and 1", len(fires), fires["Q"], n)
	}
	page, err := g.Letters().List(t.Context(), job.LetterQuery{DB: "db"})
	if err != nil || len(page.Letters) != 2 {
		t.Errorf("%d letters (%v), want the two of jobs that do not wait", len(page.Letters), err)
	}
}

// Whatever answers and writes are lost, each entry of a backup is there once.
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
		return job.Fire{Arming: job.Arming{Job: job.Job{Key: newJob(fmt.Sprint(kind, i), "n", due).Key, Route: "n", Trigger: due.UnixMilli(), Meta: []byte("1")}, FireID: fmt.Sprint(kind, i), Attempt: 1}, Claim: 1}
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
		case n%3 == 0: // the write is lost
			return nil, nats.ErrTimeout
		case n%3 == 1: // the answer is lost
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
