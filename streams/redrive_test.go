package streams_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"belfry/internal/job"
	"belfry/streams"
)

// bury takes a job of the REST route to its death.
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

// A redriven job fires, and a letter is written each time it dies.
func TestManualRetryIsNotSwallowedByDedup(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.REST)
	f.run()
	j := newJob("a", "r", time.Now())
	f.bury(j, job.ReasonExhausted)
	dead := f.get(j.Key)
	for range 3 { // it dies again and again
		all, _ := f.walk(job.LetterQuery{DB: "db"})
		if len(all) != 1 {
			t.Fatalf("%d letters, want 1", len(all))
		}
		run, err := f.Letters().Redrive(t.Context(), "db", all[0].Number)
		if err != nil || run.Done != 1 || len(run.Skipped) != 0 {
			t.Fatalf("redrive: %+v, %v; want it done", run, err)
		}
		h := f.fetch("r")
		if h.Attempt != 1 || h.FireID == dead.FireID || h.Key != j.Key || string(h.Meta) != string(j.Meta) || h.Trigger != j.Trigger {
			t.Errorf("redriven as %+v; want the same job with a new fire id and a first attempt", h.Fire)
		}
		dead = f.get(j.Key)
		if h.Redriven == 0 || h.Redriven != dead.Redriven {
			t.Errorf("the fire was redriven at %d and its record at %d, want the same time", h.Redriven, dead.Redriven)
		}
		// A retry keeps the time of the redrive.
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

// A letter is redriven by itself only while its job has not moved on.
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

// Many letters are redriven page by page. The walk ends, though jobs that it redrives die
// again.
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
		if isWrite(m, jobWrites, job.Scheduled) {
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
	if r := f.get(j.Key); r.Status != job.Delivered || r.FireID != h.FireID {
		t.Errorf("the job is %s with fire id %q; want it delivered with %q", r.Status, r.FireID, h.FireID)
	}
	if got := f.messages("FIRES", "fires.>"); len(got) != 2 {
		t.Errorf("%d fires, want the first and that of the redrive", len(got))
	}
}

// However many requests redrive a letter at the same time, its job fires once, even if
// the answer to the write is lost.
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
			if tt.lost {
				f.loseAnswer(jobWrites, job.Scheduled, tt.applied, noAnswer)
			}
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
			if fires := f.messages("FIRES", "fires.>"); len(fires) != 1 || fires[0].Headers().Get("webhook-id") != job.RedriveID(all[0].FireID) {
				t.Errorf("%d fires, want one with the id derived from the letter's", len(fires))
			}
			if left, _ := f.walk(job.LetterQuery{DB: "db"}); len(left) != 0 {
				t.Errorf("%d letters are left", len(left))
			}
		})
	}
}
