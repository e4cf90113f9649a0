package streams_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"belfry/internal/job"
	"belfry/streams"
)

// bury puts a job of the REST route through to its death.
func (f *fixture) bury(j job.Job, reason job.Reason) {
	f.t.Helper()
	f.create(j)
	h := f.fetch(j.Route)
	if err := f.Jobs().Finish(f.t.Context(), h.Fire, job.Result{Status: job.Dead, Reason: reason, Detail: "status 500"}); err != nil {
		f.t.Fatal(err)
	}
	if err := h.Ack(); err != nil {
		f.t.Fatal(err)
	}
}

// letters writes letters into DEAD, of jobs there are no records of.
func (f *fixture) letters(n int, db, route string, reason job.Reason) {
	f.t.Helper()
	for i := range n {
		fire := job.Fire{
			Key: job.Key{DB: db, Collection: "coll", ID: fmt.Sprint(i)}, Route: route, Trigger: 1_900_000_000_000,
			ID: fmt.Sprintf("%s-%s-%s-%d", db, route, reason, i), Attempt: 12, Meta: []byte(`{"n":1}`), Claim: uint64(i + 1),
		}
		if err := f.Jobs().Bury(f.t.Context(), fire, job.Result{Reason: reason, Detail: "status 500"}); err != nil {
			f.t.Fatal(err)
		}
	}
}

// walk lists all that the query selects, page by page.
func (f *fixture) walk(q job.LetterQuery) (all []job.Letter, pages int) {
	f.t.Helper()
	for {
		page, err := f.Letters().List(f.t.Context(), q)
		if err != nil {
			f.t.Fatalf("list %+v: %v", q, err)
		}
		all = append(all, page.Letters...)
		pages++
		if q.Cursor = page.Cursor; q.Cursor == (job.LetterCursor{}) {
			return all, pages
		}
	}
}

func TestLettersAreListed(t *testing.T) {
	f := open(t, streams.Config{})
	f.letters(30, "db", "r", job.ReasonExhausted)
	f.letters(20, "db", "s", job.ReasonGone)
	if _, err := f.js.Publish(t.Context(), "dead.db.r", []byte("no letter")); err != nil {
		t.Fatal(err)
	}
	f.letters(10, "db.*", "r", job.ReasonExhausted)
	_, err := f.js.Publish(t.Context(), "dead.db.by-hand", nil)
	if err != nil {
		t.Fatal(err)
	}
	all, _ := f.walk(job.LetterQuery{DB: "db"})
	middle := all[30].Died.UnixMilli() // maybe that of some before and behind, too
	before, behind := 0, 0
	for _, l := range all {
		if l.Died.UnixMilli() < middle {
			before++
		} else {
			behind++
		}
	}
	for _, tt := range []struct {
		q    job.LetterQuery
		want int
	}{
		{job.LetterQuery{DB: "db"}, 50},
		{job.LetterQuery{DB: "db", Limit: 7}, 50},
		{job.LetterQuery{DB: "db", Limit: 50}, 50},
		{job.LetterQuery{DB: "db.*"}, 10},
		{job.LetterQuery{DB: "none"}, 0},
		{job.LetterQuery{DB: "*"}, 0},
		{job.LetterQuery{DB: "db", Route: "r"}, 30},
		{job.LetterQuery{DB: "db", Route: "s", Limit: 1}, 20},
		{job.LetterQuery{DB: "db", Route: ">"}, 0},
		{job.LetterQuery{DB: "db", Reason: job.ReasonGone, Limit: 3}, 20},
		{job.LetterQuery{DB: "db", Route: "r", Reason: job.ReasonGone}, 0},
		{job.LetterQuery{DB: "db", After: middle, Limit: 4}, behind},
		{job.LetterQuery{DB: "db", Before: middle, Limit: 4}, before},
		{job.LetterQuery{DB: "db", After: middle, Before: middle}, 0},
		{job.LetterQuery{DB: "db", After: time.Now().Add(time.Hour).UnixMilli()}, 0},
	} {
		got, pages := f.walk(tt.q)
		if len(got) != tt.want {
			t.Errorf("%+v: %d letters, want %d", tt.q, len(got), tt.want)
		}
		if most := tt.want/max(tt.q.Limit, 1) + 1; pages > most {
			t.Errorf("%+v: %d pages, want at most %d", tt.q, pages, most)
		}
		for i, l := range got {
			if i > 0 && l.Number <= got[i-1].Number || l.Meta != nil || !tt.q.Matches(l) {
				t.Errorf("%+v: letter %d is %+v; want those that match, in order, without meta", tt.q, i, l)
			}
		}
	}

	dead, err := f.js.Stream(t.Context(), "DEAD")
	if err != nil {
		t.Fatal(err)
	}
	if n := dead.CachedInfo().State.Consumers; n != 0 {
		t.Errorf("%d consumers are left behind", n)
	}

	l, err := f.Letters().Get(t.Context(), "db", all[0].Number)
	want := all[0]
	want.Meta = []byte(`{"n":1}`)
	if diff := cmp.Diff(want, l); err != nil || diff != "" {
		t.Errorf("the first letter, %v, differs from the list (-want +got):\n%s", err, diff)
	}
	for db, number := range map[string]uint64{"db.*": all[0].Number, "db": 99999, "none": 1} {
		if _, err := f.Letters().Get(t.Context(), db, number); !errors.Is(err, job.ErrLetterNotFound) {
			t.Errorf("letter %d of db %q: %v, want ErrLetterNotFound", number, db, err)
		}
	}
}

// A filter that matches little does not read on for ever: its pages are short.
func TestListStopsInTime(t *testing.T) {
	f := open(t, streams.Config{})
	f.letters(20, "db", "r", job.ReasonExhausted)
	f.ScanLettersFor(time.Nanosecond)
	got, pages := f.walk(job.LetterQuery{DB: "db", Reason: job.ReasonGone})
	if len(got) != 0 || pages != 20 {
		t.Errorf("%d letters on %d pages, want none on 20", len(got), pages)
	}
}

// A job that is redriven fires, and a letter is written again, as often as it
// dies.
func TestManualRetryIsNotSwallowedByDedup(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.REST)
	f.run()
	j := newJob("a", "r", time.Now())
	f.bury(j, job.ReasonExhausted)
	dead := f.get(j.Key)
	for range 3 { // dies again and again
		all, _ := f.walk(job.LetterQuery{DB: "db"})
		if len(all) != 1 {
			t.Fatalf("%d letters, want 1", len(all))
		}
		run, err := f.Letters().Redrive(t.Context(), "db", all[0].Number)
		if err != nil || run.Done != 1 || len(run.Skipped) != 0 {
			t.Fatalf("redrive: %+v, %v; want it done", run, err)
		}
		h := f.fetch("r")
		if h.Attempt != 1 || h.ID == dead.FireID || h.Key != j.Key || string(h.Meta) != string(j.Meta) || h.Trigger != j.Trigger {
			t.Errorf("redriven as %+v; want the same job with a new fire id and a first attempt", h.Fire)
		}
		dead = f.get(j.Key)
		if h.Redriven == 0 || h.Redriven != dead.Redriven {
			t.Errorf("the fire was redriven at %d and its record at %d, want the same time", h.Redriven, dead.Redriven)
		}
		// A retry remembers it.
		if err := f.Jobs().Finish(t.Context(), h.Fire, job.Result{Status: job.Retrying, RetryAt: time.Now().UnixMilli(), Reason: job.ReasonFailed}); err != nil {
			t.Fatal(err)
		}
		if err := h.Ack(); err != nil {
			t.Fatal(err)
		}
		if h = f.fetch("r"); h.Attempt != 2 || h.Redriven != dead.Redriven {
			t.Errorf("retried as attempt %d, redriven at %d; want 2 and %d", h.Attempt, h.Redriven, dead.Redriven)
		}
		res := job.Result{Status: job.Dead, Reason: job.ReasonGone}
		if err := f.Jobs().Finish(t.Context(), h.Fire, res); err != nil {
			t.Fatal(err)
		}
		if err := h.Ack(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Letters().Redrive(t.Context(), "db", all[0].Number); !errors.Is(err, job.ErrLetterNotFound) {
			t.Errorf("redriving it again: %v, want ErrLetterNotFound", err)
		}
	}
}

// A letter is redriven by itself only while nothing else has come of its job.
func TestRedriveSkips(t *testing.T) {
	f := open(t, streams.Config{HistoryTTL: time.Second})
	f.route("r", job.REST)
	gone := f.route("gone", job.REST)
	stop := f.run()
	for _, id := range []string{"armed", "overwritten", "expired"} {
		f.bury(newJob(id, "r", time.Now()), job.ReasonExhausted)
	}
	f.bury(newJob("routeless", "gone", time.Now()), job.ReasonExhausted)
	stop()
	if err := f.Routes().Delete(t.Context(), gone.RouteKey, 0); err != nil {
		t.Fatal(err)
	}
	f.create(newJob("armed", "r", time.Now().Add(time.Hour)))
	kv, err := f.js.KeyValue(t.Context(), "jobs_0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "db.coll.overwritten", "no job"); err != nil {
		t.Fatal(err)
	}
	expired := newJob("expired", "r", time.Now())
	eventually(t, "the record has expired", func() bool {
		_, err := f.Jobs().Get(t.Context(), expired.Key)
		return errors.Is(err, job.ErrJobNotFound)
	})

	run, err := f.Letters().RedriveEach(t.Context(), job.LetterQuery{DB: "db"})
	if err != nil || run.Done != 1 || run.Cursor != (job.LetterCursor{}) {
		t.Errorf("redrive: %+v, %v; want one done and no more", run, err)
	}
	got := map[string]job.Skip{}
	for _, s := range run.Skipped {
		got[s.ID] = s.Why
	}
	if diff := cmp.Diff(map[string]job.Skip{"armed": job.SkipArmed, "overwritten": job.SkipNotAJob, "routeless": job.SkipNoRoute}, got); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	if r := f.get(expired.Key); r.Status != job.Scheduled || r.Attempt != 0 {
		t.Errorf("the job whose record had expired is %s after %d attempts, want scheduled", r.Status, r.Attempt)
	}
	if all, _ := f.walk(job.LetterQuery{DB: "db"}); len(all) != 3 {
		t.Errorf("%d letters are left, want the 3 that were skipped", len(all))
	}
	run, err = f.Letters().DiscardEach(t.Context(), job.LetterQuery{DB: "db"})
	if all, _ := f.walk(job.LetterQuery{DB: "db"}); err != nil || run.Done != 3 || len(all) != 0 {
		t.Errorf("discard: %+v, %v, %d letters are left; want all 3 gone", run, err, len(all))
	}
}

// Many letters are redriven page by page. The walk ends, though jobs that it
// redrives die again.
func TestRedriveByPages(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	f.route("s", job.NATS)
	const n = 25
	f.letters(n, "db", "r", job.ReasonExhausted)
	f.letters(n, "db", "s", job.ReasonExhausted)
	q := job.LetterQuery{DB: "db", Route: "r", Limit: 10}
	done, pages := 0, 0
	for {
		run, err := f.Letters().RedriveEach(t.Context(), q)
		if err != nil || len(run.Skipped) != 0 {
			t.Fatalf("redrive: %+v, %v", run, err)
		}
		done += run.Done
		if pages++; pages == 1 {
			f.letters(5, "db", "r", job.ReasonGone) // new deaths
		}
		if q.Cursor = run.Cursor; q.Cursor == (job.LetterCursor{}) {
			break
		}
	}
	if done != n || pages != 3 {
		t.Errorf("%d redriven in %d requests, want %d in 3", done, pages, n)
	}
	if all, _ := f.walk(job.LetterQuery{DB: "db"}); len(all) != n+5 {
		t.Errorf("%d letters are left, want %d of the other route and 5 new ones", len(all), n)
	}
	run, err := f.Letters().Discard(t.Context(), "db", n+1)
	if err != nil || run.Done != 1 {
		t.Errorf("discard of one: %+v, %v", run, err)
	}
}

// Rows 17 and 18: a crash between a redriven job and the removal of its letter,
// and one before the answer. Repeating the request does not fire twice.
func TestCrashWhileRedriving(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.REST)
	f.run()
	j := newJob("a", "r", time.Now())
	f.bury(j, job.ReasonExhausted)
	all, _ := f.walk(job.LetterQuery{DB: "db"})

	crashed, crash := context.WithCancel(t.Context())
	f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
		ack, err := send(ctx, m)
		if strings.HasPrefix(m.Subject, jobWrites) && m.Header.Get("Belfry-Status") == string(job.Scheduled) {
			crash()
		}
		return ack, err
	})
	if run, err := f.Letters().Redrive(crashed, "db", all[0].Number); err == nil {
		t.Fatalf("the redrive that crashed answered %+v", run)
	}
	if left, _ := f.walk(job.LetterQuery{DB: "db"}); len(left) != 1 {
		t.Fatalf("%d letters after the crash, want the one", len(left))
	}
	h := f.fetch("r")
	if err := f.Jobs().Finish(t.Context(), h.Fire, job.Result{Status: job.Delivered}); err != nil {
		t.Fatal(err)
	}
	run, err := f.Letters().RedriveEach(t.Context(), job.LetterQuery{DB: "db"})
	if err != nil || run.Done != 1 || len(run.Skipped) != 0 {
		t.Errorf("repeated: %+v, %v; want it done", run, err)
	}
	if left, _ := f.walk(job.LetterQuery{DB: "db"}); len(left) != 0 {
		t.Errorf("%d letters are left, want none", len(left))
	}
	if r := f.get(j.Key); r.Status != job.Delivered || r.FireID != h.ID {
		t.Errorf("the job is %s with fire id %q; want it delivered with %q", r.Status, r.FireID, h.ID)
	}
	if got := f.messages("FIRES", "fires.>"); len(got) != 2 {
		t.Errorf("%d fires, want the first and that of the redrive", len(got))
	}
}

// A job that waits can be fired by hand: at once, once, with its own fire id.
func TestFireNow(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.REST)
	f.run()
	j := newJob("a", "r", time.Now().Add(time.Hour))
	f.create(j)
	id := f.get(j.Key).FireID
	for attempt := 1; attempt <= 2; attempt++ {
		if err := f.Jobs().Fire(t.Context(), j.Key); err != nil {
			t.Fatalf("fire now, attempt %d: %v", attempt, err)
		}
		h := f.fetch("r")
		if h.ID != id || h.Trigger != j.Trigger || h.Attempt != attempt {
			t.Errorf("fired as %q for %d, attempt %d; want %q for %d, attempt %d", h.ID, h.Trigger, h.Attempt, id, j.Trigger, attempt)
		}
		if err := f.Jobs().Fire(t.Context(), j.Key); !errors.Is(err, job.ErrFiring) {
			t.Errorf("fire while it fires: %v, want ErrFiring", err)
		}
		res := job.Result{Status: job.Retrying, RetryAt: time.Now().Add(time.Hour).UnixMilli(), Reason: job.ReasonFailed}
		if attempt == 2 {
			res = job.Result{Status: job.Delivered}
		}
		if err := f.Jobs().Finish(t.Context(), h.Fire, res); err != nil {
			t.Fatal(err)
		}
		if err := h.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Jobs().Fire(t.Context(), j.Key); !errors.Is(err, job.ErrFinished) {
		t.Errorf("fire a delivered job: %v, want ErrFinished", err)
	}
	j.ID = "unknown"
	if err := f.Jobs().Fire(t.Context(), j.Key); !errors.Is(err, job.ErrJobNotFound) {
		t.Errorf("fire an unknown job: %v, want ErrJobNotFound", err)
	}
	if got := f.messages("FIRES", "fires.>"); len(got) != 2 {
		t.Errorf("%d fires, want 2", len(got))
	}
}

// However many redrive a letter at the same time, its job fires once; so it
// does when the answer to the write is lost.
func TestRedriveOnce(t *testing.T) {
	for _, tt := range []struct {
		name          string
		clients       int
		lost, applied bool
	}{
		{"at the same time", 8, false, false},
		{"lost answer, applied", 1, true, true},
		{"lost answer, not applied", 1, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := open(t, streams.Config{})
			f.route("r", job.NATS)
			f.letters(1, "db", "r", job.ReasonExhausted)
			all, _ := f.walk(job.LetterQuery{DB: "db"})
			lose := make(chan struct{}, 1)
			if tt.lost {
				lose <- struct{}{}
			}
			f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
				if !strings.HasPrefix(m.Subject, jobWrites) || m.Header.Get("Belfry-Status") != string(job.Scheduled) {
					return send(ctx, m)
				}
				select {
				case <-lose:
				default:
					return send(ctx, m)
				}
				if tt.applied {
					if _, err := send(ctx, m); err != nil {
						t.Errorf("the write was not applied: %v", err)
					}
				}
				return nil, context.DeadlineExceeded
			})
			f.run()
			var g errgroup.Group
			for range tt.clients {
				g.Go(func() error {
					_, err := f.Letters().Redrive(t.Context(), "db", all[0].Number)
					if errors.Is(err, job.ErrLetterNotFound) {
						return nil
					}
					return err
				})
			}
			if err := g.Wait(); err != nil {
				t.Error(err)
			}
			f.reaches(all[0].Key, job.Published)
			if fires := f.messages("FIRES", "fires.>"); len(fires) != 1 || fires[0].Headers().Get("webhook-id") != job.RedriveID(all[0].ID) {
				t.Errorf("%d fires, want one with the id derived from the letter's", len(fires))
			}
			if left, _ := f.walk(job.LetterQuery{DB: "db"}); len(left) != 0 {
				t.Errorf("%d letters are left", len(left))
			}
		})
	}
}
