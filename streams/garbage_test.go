package streams_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/metrics/metricstest"
	"belfry/streams"
	"belfry/streams/wire"
)

// put writes a key of a bucket as an operator would.
func (f *fixture) put(bucket, key, value string) {
	f.t.Helper()
	kv, err := f.js.KeyValue(f.t.Context(), bucket)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := kv.PutString(f.t.Context(), key, value); err != nil {
		f.t.Fatal(err)
	}
}

// A value that is not a route is reported, and each request offers a way out: a delete
// removes the value, and a create or a change replaces it, keeping the inbox.
func TestGarbageUnderARoutesKey(t *testing.T) {
	t.Parallel()
	k := job.RouteKey{DB: "db", ID: "r"}
	for _, garbage := range []string{"garbage", "", "{}", `{"id":"other","type":"REST","webhook_url":"x"}`, strings.Repeat("[", 10_000)} {
		for _, typ := range []job.RouteType{job.REST, job.NATS} {
			f := open(t, streams.Config{})
			f.run()
			f.route("beside", job.REST)
			r := f.route("r", typ)
			f.put("routes", "db.r", garbage)
			eventually(t, "the cache knows", func() bool {
				_, err := f.RouteCache().Get(t.Context(), k)
				return errors.Is(err, job.ErrNotARoute)
			})
			if _, err := f.Routes().Get(t.Context(), k); !errors.Is(err, job.ErrNotARoute) || !strings.Contains(err.Error(), "db.r") {
				t.Errorf("get: %v, want ErrNotARoute with the key", err)
			}
			if page, err := f.Routes().List(t.Context(), job.RouteQuery{DB: "db"}); err != nil || len(page.Routes) != 1 || page.Routes[0].ID != "beside" {
				t.Errorf("list: %v, %v; want the other route", page.Routes, err)
			}
			if err := f.Routes().Pause(t.Context(), k, 0); !errors.Is(err, job.ErrNotARoute) {
				t.Errorf("pause: %v, want ErrNotARoute", err)
			}
			if _, err := f.Routes().Rotate(t.Context(), k, "", 0); typ == job.REST && !errors.Is(err, job.ErrNotARoute) {
				t.Errorf("rotate: %v, want ErrNotARoute", err)
			}
			if err := f.Jobs().Create(t.Context(), newJob("x", "r", time.Now())); !errors.Is(err, job.ErrNotARoute) {
				t.Errorf("create of a job: %v, want ErrNotARoute", err)
			}
			if err := f.Routes().Replace(t.Context(), r, 1); !errors.Is(err, job.ErrRevision) {
				t.Errorf("replace of another revision: %v, want ErrRevision", err)
			}
			if err := f.Routes().Replace(t.Context(), r, 0); err != nil {
				t.Errorf("replace: %v", err)
			}
			f.put("routes", "db.r", garbage)
			if err := f.Routes().Create(t.Context(), r); err != nil {
				t.Errorf("create: %v", err)
			}
			if got, err := f.Routes().Get(t.Context(), k); err != nil || !got.SameContent(r) {
				t.Errorf("get: %v, %v; want the route that was created", got, err)
			}
			f.put("routes", "db.r", garbage)
			if err := f.Routes().Delete(t.Context(), k, 0); err != nil {
				t.Errorf("delete: %v", err)
			}
			if _, err := f.Routes().Get(t.Context(), k); !errors.Is(err, job.ErrRouteNotFound) {
				t.Errorf("get after that: %v, want ErrRouteNotFound", err)
			}
		}
	}
}

// The jobs of an overwritten route wait, and can be cancelled; they fire when there is a
// route again. So do the fires in its inbox, even after a restart.
func TestJobsOfAnOverwrittenRouteWait(t *testing.T) {
	t.Parallel()
	m := metricstest.New()
	var clock clock
	cfg := streams.Config{AuditEvery: soon, Metrics: m.Streams, Now: clock.now}
	f := open(t, cfg)
	stop := f.run()
	r := f.route("turns", job.NATS)
	f.fireAll(0, 2)
	later := clock.now().Add(time.Hour)
	f.create(newJob("2", "turns", later))
	f.create(newJob("3", "turns", later))
	f.put("routes", "db.turns", "garbage")
	for range 2 {
		eventually(t, "the cache knows", func() bool {
			_, err := f.RouteCache().Get(t.Context(), r.RouteKey)
			return errors.Is(err, job.ErrNotARoute)
		})
		if orphans := f.orphans(); len(orphans) > 0 {
			t.Errorf("the inbox counts as a deleted route's: %v", orphans)
		}
		clock.forward(2 * time.Hour)
		becomes(t, m, `belfry_jobs_held{partition="0"}`, 2)
		stop()
		f.reopen(cfg)
		stop = f.run()
	}
	if err := f.Jobs().Cancel(t.Context(), newJob("3", "", time.Time{}).Key, 0); err != nil {
		t.Errorf("cancel: %v", err)
	}
	if err := f.Routes().Replace(t.Context(), r, 0); err != nil {
		t.Fatal(err)
	}
	if seen := f.read(0, 1, 2); seen["3"] != 0 {
		t.Errorf("a cancelled job fired: %v", seen)
	}
}

// orphans returns the inboxes that count as deleted routes' inboxes.
func (f *fixture) orphans() (all []job.Inbox) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	visits := make(chan job.Inbox, 100)
	ended := make(chan error, 1)
	go func() { ended <- f.Inboxes().Follow(ctx, func(in job.Inbox) { visits <- in }) }()
	// The second visit comes after everything that existed at the first.
	for range 2 {
		last := f.route("last"+rand.Text(), job.REST)
		for in := range visits {
			if in.Orphaned {
				all = append(all, in)
			}
			if in.RouteKey == last.RouteKey {
				break
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		f.t.Errorf("the inboxes could not be followed: %v", err)
	}
	return all
}

// A cancel removes a value that is not a job, and a create or a change replaces it.
func TestGarbageUnderAJobsKey(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.run()
	f.route("r", job.NATS)
	j := newJob("a", "r", time.Now().Add(time.Hour))
	key := wire.JobKey(j.Key)
	garbage := func() {
		t.Helper()
		f.put("jobs_0", key, "garbage")
		if _, err := f.Jobs().Get(t.Context(), j.Key); !errors.Is(err, job.ErrNotAJob) {
			t.Fatalf("get: %v, want ErrNotAJob", err)
		}
		if err := f.Jobs().Fire(t.Context(), j.Key); !errors.Is(err, job.ErrNotAJob) {
			t.Errorf("fire: %v, want ErrNotAJob", err)
		}
		if err := f.Jobs().Cancel(t.Context(), j.Key, 1); !errors.Is(err, job.ErrRevision) {
			t.Errorf("cancel of another revision: %v, want ErrRevision", err)
		}
		if page, err := f.Jobs().List(t.Context(), job.Query{DB: "db"}); err != nil || len(page.Jobs) != 0 {
			t.Errorf("list: %v, %v; want none", page.Jobs, err)
		}
	}
	garbage()
	if err := f.Jobs().Cancel(t.Context(), j.Key, 0); err != nil {
		t.Errorf("cancel: %v", err)
	}
	if _, err := f.Jobs().Get(t.Context(), j.Key); !errors.Is(err, job.ErrJobNotFound) {
		t.Errorf("get after that: %v, want ErrJobNotFound", err)
	}
	garbage()
	f.create(j)
	if r := f.get(j.Key); !r.SameContent(j) || r.Status != job.Scheduled {
		t.Errorf("after a create there is %+v", r)
	}
	garbage()
	now := newJob("a", "r", time.Now())
	if err := f.Jobs().Update(t.Context(), now, 0); err != nil {
		t.Errorf("update: %v", err)
	}
	f.reaches(j.Key, job.Published)
}

// A rate's key with a value that is not a time does not stop the route.
func TestGarbageUnderARatesKey(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.put("gates", "rate.db.r", "garbage")
	f.put("gates", "breaker.db.r", "garbage")
	f.run()
	r := job.Route{RouteKey: job.RouteKey{DB: "db", ID: "r"}, Type: job.NATS, Policy: job.Policy{RateLimit: job.RateLimit{PerSecond: 100}}}
	if err := f.Routes().Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	f.create(newJob("0", "r", time.Now()))
	f.reaches(newJob("0", "", time.Time{}).Key, job.Published)
	f.put("gates", "rate.db.r", "")
	f.create(newJob("1", "r", time.Now()))
	f.firedOnce(2)
}

// A value that is not a token lets nobody in and can be revoked. It turns authentication
// on only if it may have been a token.
func TestGarbageInTheTokens(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.put("tokens", "foreign", "garbage")
	f.followTokens()
	if used, err := f.Tokens().InUse(); err != nil || used {
		t.Errorf("in use: %t, %v; want a key that is no token's not to count", used, err)
	}
	id := strings.Repeat("a", 16)
	f.put("tokens", id, "garbage")
	eventually(t, "it counts as one that was there", func() bool { used, err := f.Tokens().InUse(); return err == nil && used })
	if _, err := f.Tokens().Find(id); !errors.Is(err, job.ErrTokenNotFound) {
		t.Errorf("find: %v, want ErrTokenNotFound", err)
	}
	if all, err := f.Tokens().List(); err != nil || len(all) != 0 {
		t.Errorf("list: %v, %v; want none", all, err)
	}
	kv, err := f.js.KeyValue(t.Context(), "tokens")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{id, "foreign"} {
		if err := f.Tokens().Delete(t.Context(), id); err != nil {
			t.Errorf("delete of %s: %v", id, err)
		}
		if _, err := kv.Get(t.Context(), id); !errors.Is(err, jetstream.ErrKeyNotFound) {
			t.Errorf("get of %s: %v, want ErrKeyNotFound", id, err)
		}
		if err := f.Tokens().Delete(t.Context(), id); !errors.Is(err, job.ErrTokenNotFound) {
			t.Errorf("second delete of %s: %v, want ErrTokenNotFound", id, err)
		}
	}
}

// A restore's mark that others overwrite or delete is restored, even if that happened
// while Belfry was away: without it nothing would fire.
func TestHarmedRestoreMark(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	route := job.Route{RouteKey: job.RouteKey{DB: "db", ID: "r"}, Type: job.NATS}
	r := job.New(newJob("0", "r", time.Now().Add(time.Second)), "F")
	r.Revision = 1
	f.restore([]job.Entry{{Route: &route}, {Job: &r}})
	kv, err := f.js.KeyValue(t.Context(), "belfry")
	if err != nil {
		t.Fatal(err)
	}
	e, err := kv.Get(t.Context(), "restore")
	if err != nil {
		t.Fatal(err)
	}
	back := func() {
		t.Helper()
		eventually(t, "the mark is back", func() bool {
			now, err := kv.Get(t.Context(), "restore")
			return err == nil && string(now.Value()) == string(e.Value())
		})
	}
	f.put("belfry", "restore", "garbage")
	f.reopen(streams.Config{AuditEvery: soon})
	f.run()
	back()
	f.reaches(newJob("0", "", time.Time{}).Key, job.Published)
	for _, harm := range []func() error{
		func() error { return kv.Delete(t.Context(), "restore") },
		func() error { return kv.Purge(t.Context(), "restore") },
		func() error { _, err := kv.PutString(t.Context(), "restore", `{"run":""}`); return err },
	} {
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		back()
	}
	if err := kv.Purge(t.Context(), "restore.copy"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the copy is back", func() bool {
		now, err := kv.Get(t.Context(), "restore.copy")
		return err == nil && string(now.Value()) == string(e.Value())
	})
}
