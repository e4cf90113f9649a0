package streams_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/job"
	"belfry/streams"
)

// keepRun writes attempts until the returned function is called.
func (f *fixture) keepRun() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Attempts().Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Errorf("the writing of attempts ended with %v", err)
		}
	}
}

func attempt(number int, fireID string, started int64) job.Attempt {
	return job.Attempt{
		Number: number, FireID: fireID, Started: time.UnixMilli(started), Duration: time.Millisecond,
		Status: 500, Error: "status 500", Response: []byte("busy"),
	}
}

func TestAttemptsAreKept(t *testing.T) {
	for _, syncing := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync %v", syncing), func(t *testing.T) {
			t.Parallel()
			f := open(t, streams.Config{SyncAlways: syncing})
			stop := f.keepRun()
			one := job.Fire{Arming: job.Arming{Job: job.Job{Key: job.Key{DB: "d.b", Collection: "*", ID: ">"}}}}
			other := job.Fire{Arming: job.Arming{Job: job.Job{Key: job.Key{DB: "db", Collection: "c", ID: "i"}}}}
			var want []job.Attempt
			for i := range 20 {
				a := attempt(i%5+1, fmt.Sprint("fire-", i/5), int64(1000+i))
				want = append(want, a)
				f.Attempts().Keep(one, a)
				f.Attempts().Keep(other, attempt(1, "other", 5))
			}
			eventually(t, "all attempts are kept", func() bool {
				got, err := f.Attempts().Of(t.Context(), one.Key)
				return err == nil && len(got) == len(want)
			})
			got, err := f.Attempts().Of(t.Context(), one.Key)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("attempts, %v (-want +got):\n%s", err, diff)
			}
			// A repeated attempt shows once, and a message that is not an attempt does
			// not show.
			if _, err := f.js.Publish(t.Context(), "attempts.db.c.i", []byte("nothing")); err != nil {
				t.Fatal(err)
			}
			if got, err := f.Attempts().Of(t.Context(), other.Key); err != nil || len(got) != 1 {
				t.Errorf("%d attempts, %v; want the one", len(got), err)
			}
			if got, err := f.Attempts().Of(t.Context(), job.Key{DB: "d", Collection: "b", ID: "x"}); err != nil || len(got) != 0 {
				t.Errorf("attempts of an unknown job: %v, %v; want none", got, err)
			}
			// The attempts left at the end are written.
			f.Attempts().Keep(other, attempt(2, "other", 6))
			stop()
			if got, err := f.Attempts().Of(t.Context(), other.Key); err != nil || len(got) != 2 {
				t.Errorf("%d attempts after the end, %v; want 2", len(got), err)
			}
			if n := f.Attempts().Dropped(); n != 0 {
				t.Errorf("%d were dropped", n)
			}
		})
	}
}

// The latest attempts of a job are kept. A flood does not block, and dropped attempts are
// counted.
func TestAttemptsAreBounded(t *testing.T) {
	f := open(t, streams.Config{HistoryTTL: time.Hour})
	fire := job.Fire{Arming: job.Arming{Job: job.Job{Key: job.Key{DB: "db", Collection: "c", ID: "i"}}}}
	const flood = 5000
	for i := range flood { // nobody writes yet
		f.Attempts().Keep(fire, attempt(i, "fire", int64(i)))
	}
	dropped := f.Attempts().Dropped()
	if dropped == 0 || dropped >= flood {
		t.Errorf("%d of %d were dropped, want some", dropped, flood)
	}
	defer f.keepRun()()
	last := flood - int(dropped) - 1
	eventually(t, fmt.Sprintf("the last 100 to number %d are kept", last), func() bool {
		got, err := f.Attempts().Of(t.Context(), fire.Key)
		return err == nil && len(got) == 100 && got[99].Number == last
	})
	s, err := f.js.Stream(t.Context(), "ATTEMPTS")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.CachedInfo().Config.MaxAge, 25*time.Hour; got != want {
		t.Errorf("attempts are kept for %v, want %v", got, want)
	}
}

// Attempts survive a JetStream that is away for a while.
func TestAttemptsWaitOutTrouble(t *testing.T) {
	f := open(t, streams.Config{})
	fire := job.Fire{Arming: job.Arming{Job: job.Job{Key: job.Key{DB: "db", Collection: "c", ID: "i"}}}}
	s, err := f.js.Stream(t.Context(), "ATTEMPTS")
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	if err := f.js.DeleteStream(t.Context(), "ATTEMPTS"); err != nil {
		t.Fatal(err)
	}
	stop := f.keepRun()
	defer stop()
	f.Attempts().Keep(fire, attempt(1, "fire", 1))
	if _, err := f.Attempts().Of(t.Context(), fire.Key); err == nil {
		t.Error("attempts are read without their stream")
	}
	if _, err := f.js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the attempt is kept", func() bool {
		got, err := f.Attempts().Of(t.Context(), fire.Key)
		return err == nil && len(got) == 1
	})
}
