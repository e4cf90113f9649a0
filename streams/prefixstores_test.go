package streams_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/fault"
	"belfry/internal/job"
	"belfry/streams"
	"belfry/streams/setup"
	"belfry/streams/wire"
)

// beside opens a store with other names on the same server.
func (f *fixture) beside(cfg streams.Config) *fixture {
	f.t.Helper()
	g := &fixture{t: f.t, server: f.server}
	g.connect()
	g.reopen(cfg)
	return g
}

// theirs returns everything of a store that another one could disturb: its streams with
// their settings and creation times, their consumers, and their messages except those
// that each store writes all the time.
func (f *fixture) theirs(n wire.Names) (all []string) {
	f.t.Helper()
	for _, want := range streams.Assets(n, 1) {
		s, err := f.js.Stream(f.t.Context(), want.Name)
		if err != nil {
			f.t.Fatal(err)
		}
		info := s.CachedInfo()
		line := fmt.Sprintf("%s of %v: %+v", want.Name, info.Created, info.Config)
		if !strings.HasPrefix(want.Name, "KV_") || strings.HasSuffix(want.Name, "routes") || strings.HasSuffix(want.Name, "jobs_0") {
			list := s.ListConsumers(f.t.Context())
			for c := range list.Info() {
				if c.Config.Durable != "" {
					line += fmt.Sprintf("; %s of %v: %+v, acked %d", c.Name, c.Created, c.Config, c.AckFloor.Stream)
				}
			}
			if err := list.Err(); err != nil {
				f.t.Fatal(err)
			}
			subjects, err := s.Info(f.t.Context(), jetstream.WithSubjectFilter(">"))
			if err != nil {
				f.t.Fatal(err)
			}
			for subject, n := range subjects.State.Subjects {
				if !strings.HasSuffix(subject, ".probe") {
					line += fmt.Sprintf("; %d on %s", n, subject)
				}
			}
			parts := strings.Split(line, "; ")
			slices.Sort(parts)
			line = strings.Join(parts, "; ")
		}
		all = append(all, line)
	}
	return all
}

// exercise makes a store do some of everything. All of its names and ids are the same in
// every other store.
func (f *fixture) exercise(n wire.Names) {
	f.t.Helper()
	ctx := f.t.Context()
	f.route("n", job.NATS)
	f.route("r", job.REST)
	f.create(newJob("native", "n", time.Now()))
	f.reaches(newJob("native", "", time.Now()).Key, job.Published)
	if got := f.messages(n.FiresStream(), ">"); len(got) < 2 || got[len(got)-1].Subject() != n.Subject("fires.db.n") {
		f.t.Errorf("%q: the messages of FIRES do not end with one on %s", n, n.Subject("fires.db.n"))
	}
	f.bury(newJob("rest", "r", time.Now()), job.ReasonExhausted)
	later := time.Now().Add(time.Hour)
	f.create(newJob("later", "r", later))
	f.create(newJob("cancelled", "r", later))
	if err := f.Jobs().Cancel(ctx, newJob("cancelled", "", later).Key, 0); err != nil {
		f.t.Fatal(err)
	}
	var ids []string
	all, _ := f.list(job.Query{DB: "db"})
	for _, r := range all {
		ids = append(ids, r.ID+" "+string(r.Status))
	}
	slices.Sort(ids)
	if diff := cmp.Diff([]string{"cancelled cancelled", "later scheduled", "native published", "rest dead"}, ids); diff != "" {
		f.t.Errorf("%q: the jobs (-want +got):\n%s", n, diff)
	}
	// A fire that a subscriber refuses comes back through an advisory.
	c, err := f.js.Consumer(ctx, n.FiresStream(), "db_n")
	if err != nil {
		f.t.Fatal(err)
	}
	m, err := c.Next()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := m.TermWithReason("no such game"); err != nil {
		f.t.Fatal(err)
	}
	eventually(f.t, "both letters are in DEAD", func() bool {
		letters, _ := f.walk(job.LetterQuery{DB: "db"})
		return len(letters) == 2
	})
}

// Two stores on one server, with the same routes and jobs, do not see each other. Neither
// the work of one store nor its audit nor the removal of its streams changes anything of
// the other's, and each keeps what it had before the other came.
func TestStoresWithPrefixesShareAServer(t *testing.T) {
	t.Parallel()
	for _, names := range [][2]wire.Names{{"", "team1"}, {"team1", ""}, {"a", "a_jobs"}} {
		t.Run(fmt.Sprintf("%q and %q", names[0], names[1]), func(t *testing.T) {
			t.Parallel()
			first, second := &lines{}, &lines{}
			f := open(t, streams.Config{Names: names[0], AuditEvery: soon, Log: first.Logger()})
			f.run()
			f.exercise(names[0])
			before := f.theirs(names[0])

			g := f.beside(streams.Config{Names: names[1], AuditEvery: soon, Log: second.Logger()})
			g.run()
			g.exercise(names[1])
			g.compared()
			f.compared()
			if diff := cmp.Diff(before, f.theirs(names[0])); diff != "" {
				t.Errorf("what the first store has changed (-before +after):\n%s", diff)
			}
			for _, want := range streams.Assets(names[1], 1) {
				if is := g.config(want.Name); is.Metadata["belfry.asset"] != want.Name {
					t.Errorf("%s has the metadata %v, want its name", want.Name, is.Metadata)
				}
			}

			// One store restores the backup of another.
			h := f.beside(streams.Config{Names: "third"})
			h.restore(f.backup())
			if got, want := len(h.backup()), len(f.backup()); got != want {
				t.Errorf("the third store has %d entries, want the %d of the backup", got, want)
			}
			if diff := cmp.Diff(before, f.theirs(names[0])); diff != "" {
				t.Errorf("a restore beside it changed the first store (-before +after):\n%s", diff)
			}

			// The whole second store is removed.
			for _, a := range streams.Assets(names[1], 1) {
				if err := f.js.DeleteStream(t.Context(), a.Name); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the second store tells of its loss", func() bool { return g.Ready(t.Context()) != nil })
			if err := f.Ready(t.Context()); err != nil {
				t.Errorf("the first store is not ready: %v", err)
			}
			f.create(newJob("last", "n", time.Now()))
			f.reaches(newJob("last", "", time.Now()).Key, job.Published)
			for line := range strings.Lines(first.String()) {
				if strings.Contains(line, "level=ERROR") || strings.Contains(line, "level=WARN") && !strings.Contains(line, fault.NewStore) && !strings.Contains(line, "dead letter written") {
					t.Errorf("the first store says %s", line)
				}
			}
			if !strings.Contains(second.String(), fault.NewStore) || !strings.Contains(second.String(), "beside=") {
				t.Errorf("the second store does not say that there is another one:\n%s", second.String())
			}
		})
	}
}

// Another prefix on a server that has a store creates a new store, and says so with the
// names of the existing ones. If data is expected, it is refused. Names that differ only
// in case are refused.
func TestUnknownPrefixIsLoud(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{Names: "team1"})
	f.refused(streams.Config{Names: "taem1", ExistingData: true, Place: "nats://example"}, fault.NothingThere, "--asset-prefix team1")
	f.refused(streams.Config{ExistingData: true, Place: "nats://example"}, fault.NothingThere, "--asset-prefix team1")
	before := f.names()
	if err := f.tryOpen(streams.Config{Names: "TEAM1"}); !errors.Is(err, setup.ErrForeign) || !strings.Contains(err.Error(), "case only") {
		t.Errorf("opened with names that differ in case only: %v, want ErrForeign", err)
	}
	if after := f.names(); !slices.Equal(before, after) {
		t.Errorf("the refused start left %v, before it there was %v", after, before)
	}
	log := &lines{}
	f.reopen(streams.Config{Names: "taem1", Log: log.Logger()})
	if said := log.String(); !strings.Contains(said, fault.NewStore) || !strings.Contains(said, "--asset-prefix team1") || !strings.Contains(said, "--asset-prefix taem1") {
		t.Errorf("the start says %s", said)
	}
	log = &lines{}
	f.reopen(streams.Config{Names: "team1", ExistingData: true, Log: log.Logger()})
	if said := log.String(); strings.Contains(said, fault.NewStore) {
		t.Errorf("a later start says %s", said)
	}
}

// The audit mends what others did to its own store, under its names, and the log and the
// API use those names.
func TestAuditWithAPrefix(t *testing.T) {
	t.Parallel()
	log := &lines{}
	f := open(t, streams.Config{Names: "team1", AuditEvery: soon, Log: log.Logger()})
	r := f.route("n", job.NATS)
	f.run()
	got, err := f.Routes().Get(t.Context(), r.RouteKey)
	if want := (job.Subscription{Stream: "team1_FIRES", Subject: "team1.fires.db.n", Consumer: "db_n"}); err != nil || got.Subscription != want {
		t.Errorf("the route is read by %+v, %v; want %+v", got.Subscription, err, want)
	}
	f.change("team1_FIRES", func(c *jetstream.StreamConfig) { c.Subjects = []string{"team1.fires.>"} })
	f.change("KV_team1_jobs_0", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 })
	f.change("team1_DEAD", func(c *jetstream.StreamConfig) { c.NoAck = true })
	eventually(t, "all is mended", func() bool {
		return len(f.config("team1_FIRES").Subjects) == 2 && f.config("KV_team1_jobs_0").MaxMsgsPerSubject == 1 && !f.config("team1_DEAD").NoAck
	})
	if err := f.js.DeleteConsumer(t.Context(), "team1_FIRES", "db_n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the consumer is made again", func() bool {
		_, err := f.js.Consumer(t.Context(), "team1_FIRES", "db_n")
		return err == nil
	})
	f.change("KV_team1_gates", func(c *jetstream.StreamConfig) { c.MaxAge, c.Duplicates = time.Minute, time.Minute })
	f.compared()
	f.change("team1_DEAD", func(c *jetstream.StreamConfig) { c.NoAck = true })
	eventually(t, "DEAD is mended", func() bool { return !f.config("team1_DEAD").NoAck })
	if age := f.config("KV_team1_gates").MaxAge; age != time.Minute {
		t.Errorf("the max_age of the bucket gates is %v, want the operator's", age)
	}
	err = f.Backups().Restore(t.Context(), "b", reader(nil, io.EOF))
	if !errors.Is(err, job.ErrNotEmpty) {
		t.Errorf("a restore into a store with a route: %v, want ErrNotEmpty", err)
	}
}
