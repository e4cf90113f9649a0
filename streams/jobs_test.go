package streams_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/waittest"
	"belfry/streams"
	"belfry/streams/wire"
)

func TestCreateIsSafeToRepeat(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	j := newJob("a", "r", time.Now().Add(time.Hour))
	other := j
	other.Meta = []byte(`2`)

	f.create(j)
	first := f.get(j.Key)
	f.create(j)
	if got := f.get(j.Key); got.Revision != first.Revision {
		t.Errorf("creating the same again wrote revision %d over %d", got.Revision, first.Revision)
	}
	if err := f.Jobs().Create(t.Context(), other); !errors.Is(err, job.ErrJobExists) {
		t.Errorf("creating other content over a live job: %v, want ErrJobExists", err)
	}

	if err := f.Jobs().Cancel(t.Context(), j.Key, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Jobs().Cancel(t.Context(), j.Key, 0); err != nil {
		t.Errorf("cancelling again: %v", err)
	}
	f.create(j)
	again := f.get(j.Key)
	if again.Status != job.Scheduled || again.FireID == first.FireID {
		t.Errorf("created after a cancel: %s with fire id %q; want scheduled with a new one than %q", again.Status, again.FireID, first.FireID)
	}

	// Now it fires.
	past := j
	past.Trigger = time.Now().Add(-time.Minute).UnixMilli()
	if err := f.Jobs().Update(t.Context(), past, 0); err != nil {
		t.Fatal(err)
	}
	f.run()
	done := f.reaches(j.Key, job.Published)
	f.create(past)
	if got := f.get(j.Key); got.Revision != done.Revision {
		t.Errorf("creating the same after it has fired wrote revision %d over %d", got.Revision, done.Revision)
	}
	for name, change := range map[string]func() error{
		"PUT":    func() error { return f.Jobs().Update(t.Context(), j, 0) },
		"DELETE": func() error { return f.Jobs().Cancel(t.Context(), j.Key, 0) },
	} {
		if err := change(); !errors.Is(err, job.ErrFinished) {
			t.Errorf("%s of a finished job: %v, want ErrFinished", name, err)
		}
	}
	other.Trigger = past.Trigger
	f.create(other)
	eventually(t, "the id fires again with the other content", func() bool {
		return len(f.messages("FIRES", "fires.>")) == 2 && f.get(j.Key).Status == job.Published
	})
}

func TestJobsRefuse(t *testing.T) {
	f := open(t, streams.Config{})
	j := newJob("a", "nowhere", time.Now())
	if err := f.Jobs().Create(t.Context(), j); !errors.Is(err, job.ErrRouteNotFound) {
		t.Errorf("create without its route: %v, want ErrRouteNotFound", err)
	}
	f.route("r", job.NATS)
	j.Route = "r"
	for name, err := range map[string]error{
		"get":    func() error { _, err := f.Jobs().Get(t.Context(), j.Key); return err }(),
		"update": f.Jobs().Update(t.Context(), j, 0),
		"cancel": f.Jobs().Cancel(t.Context(), j.Key, 0),
	} {
		if !errors.Is(err, job.ErrJobNotFound) {
			t.Errorf("%s of no job: %v, want ErrJobNotFound", name, err)
		}
	}
}

func TestEveryIDWorks(t *testing.T) {
	f := open(t, streams.Config{})
	f.run()
	for _, id := range []string{
		".", "..", "*", ">", "a b", "a/b", "a\\b", "$", "=", "é", "\x00", "\r\n", "🔔",
		strings.Repeat("x", 200), strings.Repeat("/", 200),
	} {
		route := job.Route{RouteKey: job.RouteKey{DB: id, ID: id}, Type: job.NATS}
		if err := f.Routes().Create(t.Context(), route); err != nil {
			t.Errorf("route %q: %v", id, err)
			continue
		}
		j := newJob(id, id, time.Now())
		j.DB, j.Collection = id, id
		f.create(j)
		f.reaches(j.Key, job.Published)
		got, err := f.Routes().Get(t.Context(), route.RouteKey)
		if err != nil {
			t.Fatal(err)
		}
		c, err := f.js.Consumer(t.Context(), got.Subscription.Stream, got.Subscription.Consumer)
		if err != nil {
			t.Errorf("the consumer of %q: %v", id, err)
			continue
		}
		m, err := c.Next(jetstream.FetchMaxWait(waittest.Patience))
		if err != nil {
			t.Errorf("no fire for %q: %v", id, err)
			continue
		}
		fire, err := wire.DecodeFire(m.Headers(), m.Data(), 1, time.Time{})
		if err != nil || fire.Key != j.Key || m.Subject() != got.Subscription.Subject {
			t.Errorf("the fire of %q is for %q on %q: %v", j.Key, fire.Key, m.Subject(), err)
		}
	}
}

// The value that blocks an id can be removed as the error says.
func TestNotAJobSaysHowToRemoveIt(t *testing.T) {
	f := open(t, streams.Config{Partitions: 4})
	for i := range 8 {
		k := job.Key{DB: "d b", Collection: "coll", ID: fmt.Sprint("é", i)}
		for p := range 4 {
			kv, err := f.js.KeyValue(t.Context(), fmt.Sprint("jobs_", p))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := kv.PutString(t.Context(), wire.JobKey(k), "hello"); err != nil {
				t.Fatal(err)
			}
		}
		_, err := f.Jobs().Get(t.Context(), k)
		if !errors.Is(err, job.ErrNotAJob) {
			t.Fatalf("get of %q: %v, want ErrNotAJob", k.ID, err)
		}
		var bucket, key string
		_, command, _ := strings.Cut(err.Error(), "; ")
		if _, scanErr := fmt.Sscanf(command, "nats kv del %s %s removes it", &bucket, &key); scanErr != nil {
			t.Fatalf("get of %q: %v; how to remove it: %v", k.ID, err, scanErr)
		}
		kv, err := f.js.KeyValue(t.Context(), bucket)
		if err != nil {
			t.Fatal(err)
		}
		if err := kv.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Jobs().Get(t.Context(), k); !errors.Is(err, job.ErrJobNotFound) {
			t.Errorf("get of %q after %q: %v, want ErrJobNotFound", k.ID, command, err)
		}
	}
}

// A plain KV put of a job is a job; any other value is left alone.
func TestPlainPut(t *testing.T) {
	var clock clock
	f := open(t, streams.Config{Now: clock.now})
	f.route("r", job.NATS)
	kv, err := f.js.KeyValue(t.Context(), "jobs_0")
	if err != nil {
		t.Fatal(err)
	}
	put := func(key, value string) {
		t.Helper()
		if _, err := kv.PutString(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	put("db.coll.before", `{"id":"before","trigger_time":1667659342626,"route":"r","meta":[ 1 ]}`)
	put("db.coll.garbage", `hello`)
	put("garbage", `hello`)
	f.run()
	put("db.coll.after", `{"trigger_time":1667659342626,"route":"r"}`)
	put("db.coll.wrong", `{"id":"other","trigger_time":1667659342626,"route":"r"}`)
	for _, id := range []string{"before", "after"} {
		f.reaches(job.Key{DB: "db", Collection: "coll", ID: id}, job.Published)
	}
	metas := map[string]string{}
	for _, m := range f.messages("FIRES", "fires.>") {
		metas[m.Headers().Get("Belfry-Job-Id")] = string(m.Data())
	}
	if want := map[string]string{"before": "[ 1 ]", "after": "null"}; !maps.Equal(metas, want) {
		t.Errorf("the fires carry %v, want %v", metas, want)
	}
	for _, id := range []string{"garbage", "wrong"} {
		if r, err := f.Jobs().Get(t.Context(), job.Key{DB: "db", Collection: "coll", ID: id}); !errors.Is(err, job.ErrNotAJob) {
			t.Errorf("get of %q: %v, %v; want ErrNotAJob", id, r, err)
		}
	}
	// A plain delete is a delete.
	later := newJob("later", "r", clock.now().Add(time.Hour))
	f.create(later)
	if err := kv.Delete(t.Context(), "db.coll.later"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Jobs().Get(t.Context(), later.Key); !errors.Is(err, job.ErrJobNotFound) {
		t.Errorf("get of a deleted key: %v, want ErrJobNotFound", err)
	}
	clock.forward(2 * time.Hour)
	later.Trigger = time.Now().UnixMilli()
	f.create(later)
	f.reaches(later.Key, job.Published)
	if got := f.messages("FIRES", "fires.>"); len(got) != 3 {
		t.Errorf("%d fires, want 3: the deleted job must not fire", len(got))
	}
}

// A waiting job can be fired by hand: at once, once, with its own fire id.
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
		if h.FireID != id || h.Trigger != j.Trigger || h.Attempt != attempt {
			t.Errorf("fired as %q for %d, attempt %d; want %q for %d, attempt %d", h.FireID, h.Trigger, h.Attempt, id, j.Trigger, attempt)
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

// Firing a job by hand keeps its fire id. So the fire id does not prove that the write
// was applied, however much comes between.
func TestFireNowAgainstCancel(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]func(f *fixture, k job.Key) error{
		"a cancel": func(f *fixture, k job.Key) error { return f.Jobs().Cancel(t.Context(), k, 0) },
		"another fire now, and a cancel": func(f *fixture, k job.Key) error {
			return errors.Join(f.Jobs().Fire(t.Context(), k), f.Jobs().Cancel(t.Context(), k, 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, streams.Config{})
			f.route("r", job.REST)
			j := newJob("a", "r", farOff)
			f.create(j)
			var begun atomic.Bool
			f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
				if begun.CompareAndSwap(false, true) {
					if err := between(f, j.Key); err != nil {
						t.Error(err)
					}
				}
				return send(ctx, m)
			})
			if err := f.Jobs().Fire(t.Context(), j.Key); !errors.Is(err, job.ErrFinished) {
				t.Errorf("fire now: %v, want ErrFinished: the job was cancelled before", err)
			}
			if got := f.get(j.Key).Status; got != job.Cancelled {
				t.Errorf("the job is %s, want cancelled", got)
			}
		})
	}
}

// The requested revision of a change is part of its compare-and-set.
func TestChangesOfOneRevision(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	j := newJob("one", "r", farOff)
	f.create(j)
	first := f.get(j.Key).Revision
	j.Trigger++
	is := func(what string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	is("update of another revision", f.Jobs().Update(t.Context(), j, first+1), job.ErrRevision)
	is("update", f.Jobs().Update(t.Context(), j, first), nil)
	is("update again", f.Jobs().Update(t.Context(), j, first), nil)
	second := f.get(j.Key).Revision
	if second != first+1 {
		t.Errorf("the revision is %d, want %d: one write", second, first+1)
	}
	j.Trigger++
	is("update of an old revision", f.Jobs().Update(t.Context(), j, first), job.ErrRevision)
	is("cancel of an old revision", f.Jobs().Cancel(t.Context(), j.Key, first), job.ErrRevision)

	// Exactly one of many changes of one revision succeeds.
	results := make(chan error)
	for i := range 10 {
		go func() {
			j := j
			j.Trigger += int64(i)
			results <- f.Jobs().Update(t.Context(), j, second)
		}()
	}
	won := 0
	for range 10 {
		err := <-results
		if err == nil {
			won++
		} else {
			is("one of many updates", err, job.ErrRevision)
		}
	}
	if won != 1 {
		t.Errorf("%d of 10 updates of one revision came through, want 1", won)
	}
	third := f.get(j.Key).Revision
	is("cancel", f.Jobs().Cancel(t.Context(), j.Key, third), nil)
	is("cancel again", f.Jobs().Cancel(t.Context(), j.Key, third), nil)
	is("cancel with a later one", f.Jobs().Cancel(t.Context(), j.Key, third+9), job.ErrRevision)

	r := f.route("s", job.REST)
	old, err := f.Routes().Get(t.Context(), r.RouteKey)
	if err != nil {
		t.Fatal(err)
	}
	r.WebhookURL = "http://127.0.0.1:1/other"
	is("replace of another revision", f.Routes().Replace(t.Context(), r, old.Revision+1), job.ErrRevision)
	is("replace", f.Routes().Replace(t.Context(), r, old.Revision), nil)
	is("replace again", f.Routes().Replace(t.Context(), r, old.Revision), nil)
	is("delete of an old revision", f.Routes().Delete(t.Context(), r.RouteKey, old.Revision), job.ErrRevision)
	now, err := f.Routes().Get(t.Context(), r.RouteKey)
	if err != nil {
		t.Fatal(err)
	}
	is("delete", f.Routes().Delete(t.Context(), r.RouteKey, now.Revision), nil)
}
