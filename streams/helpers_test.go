package streams_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/jobtest"
	"belfry/internal/natstest"
	"belfry/internal/waittest"
	"belfry/streams"
)

// fixture is a store on a server of the test's own.
type fixture struct {
	*streams.Store

	t      testing.TB
	server *natstest.Server
	nc     *nats.Conn
	js     jetstream.JetStream
}

func open(t testing.TB, cfg streams.Config) *fixture {
	t.Helper()
	f := &fixture{t: t, server: natstest.Start(t)}
	f.connect()
	f.reopen(cfg)
	return f
}

func (f *fixture) connect() {
	f.t.Helper()
	f.nc = f.server.Connect()
	js, err := jetstream.New(f.nc)
	if err != nil {
		f.t.Fatal(err)
	}
	f.js = js
}

// reopen makes another store on the same server, as the next start would.
func (f *fixture) reopen(cfg streams.Config) {
	f.t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s, err := streams.Open(f.t.Context(), f.nc, cfg)
	if err != nil {
		f.t.Fatalf("couldn't open the store: %v", err)
	}
	f.Store = s
}

// run runs the store until the returned function is called, or the test ends.
func (f *fixture) run() (stop func()) {
	f.t.Helper()
	stop = f.begin()
	eventually(f.t, "the timer owns its partition", func() bool { return f.Ready(f.t.Context()) == nil })
	return stop
}

// begin is run, but does not wait until the timer is at work.
func (f *fixture) begin() (stop func()) {
	f.t.Helper()
	s := f.Store
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Errorf("the store ended with: %v", err)
		}
	})
	f.t.Cleanup(stop)
	return stop
}

func (f *fixture) route(id string, typ job.RouteType) job.Route {
	f.t.Helper()
	r := job.Route{RouteKey: job.RouteKey{DB: "db", ID: id}, Type: typ}
	if typ == job.REST {
		r.WebhookURL = "http://127.0.0.1:1/hook"
	}
	if err := f.Routes().Create(f.t.Context(), r); err != nil {
		f.t.Fatalf("couldn't create route %q: %v", id, err)
	}
	return r
}

var newJob = jobtest.New

func (f *fixture) create(j job.Job) {
	f.t.Helper()
	if err := f.Jobs().Create(f.t.Context(), j); err != nil {
		f.t.Fatalf("couldn't create job %q: %v", j.ID, err)
	}
}

func (f *fixture) get(k job.Key) job.Record {
	f.t.Helper()
	r, err := f.Jobs().Get(f.t.Context(), k)
	if err != nil {
		f.t.Fatalf("couldn't get job %q: %v", k.ID, err)
	}
	return r
}

// reaches waits until the job has the status.
func (f *fixture) reaches(k job.Key, want job.Status) job.Record {
	f.t.Helper()
	var r job.Record
	eventually(f.t, "job "+k.ID+" is "+string(want), func() bool {
		r, _ = f.Jobs().Get(f.t.Context(), k)
		return r.Status == want
	})
	return r
}

// firedOnce waits until the jobs with the numbers below n as ids are published. It checks
// that each is in FIRES once, and nothing else is.
func (f *fixture) firedOnce(n int) {
	f.t.Helper()
	for i := range n {
		f.reaches(newJob(fmt.Sprint(i), "", time.Time{}).Key, job.Published)
	}
	seen := map[string]int{}
	for _, m := range f.messages("FIRES", "fires.>") {
		seen[m.Headers().Get("Belfry-Job-Id")]++
	}
	for id, times := range seen {
		if times != 1 {
			f.t.Errorf("job %s stands %d times in FIRES", id, times)
		}
	}
	if len(seen) != n {
		f.t.Errorf("%d jobs in FIRES, want %d", len(seen), n)
	}
}

// fetch takes the one fire from a REST route's inbox.
func (f *fixture) fetch(route string) job.Handover {
	f.t.Helper()
	var got []job.Handover
	err := f.Inboxes().Fetch(f.t.Context(), job.RouteKey{DB: "db", ID: route}, 1, waittest.Patience,
		func(h job.Handover) { got = append(got, h) })
	if err != nil || len(got) != 1 {
		f.t.Fatalf("fetched %d fires, %v; want 1", len(got), err)
	}
	return got[0]
}

// count returns how many messages a stream has.
func (f *fixture) count(stream string) uint64 {
	f.t.Helper()
	s, err := f.js.Stream(f.t.Context(), stream)
	if err != nil {
		f.t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// hasSubjects reports whether the stream has n subjects that match; it is false if the
// stream cannot be asked.
func (f *fixture) hasSubjects(stream, filter string, n int) bool {
	s, err := f.js.Stream(f.t.Context(), stream)
	if err != nil {
		return false
	}
	info, err := s.Info(f.t.Context(), jetstream.WithSubjectFilter(filter))
	return err == nil && len(info.State.Subjects) == n
}

// messages returns all messages of a stream under a subject.
func (f *fixture) messages(stream, subject string) []jetstream.Msg {
	f.t.Helper()
	return natstest.Messages(f.t, f.js, stream, subject)
}

// eventually polls for a condition that has no event to wait for.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	waittest.Eventually(t, func() (amiss string) {
		if !done() {
			return "it is not so yet: " + what
		}
		return ""
	})
}

// clock is a clock that a test sets forward: jobs come due when everything is ready for
// them, however long that takes.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }
