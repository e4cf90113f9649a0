package streams_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams"
)

func (f *fixture) purge(opts ...jetstream.StreamPurgeOpt) {
	f.t.Helper()
	s, err := f.js.Stream(f.t.Context(), "FIRES")
	if err != nil {
		f.t.Fatal(err)
	}
	if err := s.Purge(f.t.Context(), opts...); err != nil {
		f.t.Fatal(err)
	}
}

// claimAll makes jobs fire on a REST route that nobody delivers, and waits until their
// fires are in FIRES.
func (f *fixture) claimAll(route string, n int) {
	f.t.Helper()
	f.route(route, job.REST)
	for i := range n {
		f.create(newJob(fmt.Sprint(route, i), route, time.Now()))
	}
	eventually(f.t, "the fires are in FIRES", func() bool { return f.firesOf(route) == n })
}

func (f *fixture) firesOf(route string) int {
	s, err := f.js.Stream(f.t.Context(), "FIRES")
	if err != nil {
		return -1
	}
	info, err := s.Info(f.t.Context(), jetstream.WithSubjectFilter("fires.db."+route))
	if err != nil {
		return -1
	}
	return int(info.State.Subjects["fires.db."+route])
}

var removedLine = regexp.MustCompile(`fires were removed from FIRES before their time.* fires=(\d+)`)

// Fires that are purged while their claims stand are published again, even if nothing
// else fires, whatever part of FIRES was purged. The log says how many.
func TestPurgedFiresAreFiredAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		purge func(f *fixture)
		gone  int // in total
		again int // for the route a
	}{
		"all":          {func(f *fixture) { f.purge() }, 8, 5},
		"a route":      {func(f *fixture) { f.purge(jetstream.WithPurgeSubject("fires.db.a")) }, 5, 5},
		"all but one":  {func(f *fixture) { f.purge(jetstream.WithPurgeSubject("fires.db.a"), jetstream.WithPurgeKeep(1)) }, 4, 4},
		"a single one": {func(f *fixture) { f.deleteFire("fires.db.a", 2) }, 1, 1},
		"fences, too": {func(f *fixture) {
			f.purge(jetstream.WithPurgeSubject("fires.db.a"))
			f.purge(jetstream.WithPurgeSubject("fence.0"))
		}, 5, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &lines{}
			f := open(t, streams.Config{AuditEvery: soon, Log: log.Logger()})
			f.run()
			f.claimAll("a", 5)
			f.claimAll("b", 3)
			eventually(t, "FIRES was looked at", func() bool { return f.SawFires(t.Context()) })
			tt.purge(f)
			eventually(t, "the fires of a are there again", func() bool { return f.firesOf("a") == 5 && f.firesOf("b") == 3 })
			eventually(t, "each claim has its fire", func() bool {
				for _, route := range []string{"a", "b"} {
					for _, m := range f.messages("FIRES", "fires.db."+route) {
						id := m.Headers().Get("Belfry-Job-Id")
						r, err := f.Jobs().Get(t.Context(), newJob(id, "", time.Time{}).Key)
						if err != nil || fmt.Sprint(r.Revision) != m.Headers().Get("Belfry-Claim") {
							return false
						}
					}
				}
				return true
			})
			told := func() (sum int) {
				for _, m := range removedLine.FindAllStringSubmatch(log.String(), -1) {
					n, err := strconv.Atoi(m[1])
					if err != nil {
						t.Fatal(err)
					}
					sum += n
				}
				return sum
			}
			eventually(t, "the log says how many were removed", func() bool { return told() == tt.gone })
			if !strings.Contains(log.String(), "their jobs are fired again") {
				t.Error("the log does not say that jobs are fired again")
			}
			h := f.fetch("a")
			st, _, err := f.Jobs().Standing(t.Context(), h.Fire)
			if err != nil || st != job.Valid {
				t.Errorf("a fire that was published again is %v, %v; want it valid", st, err)
			}
		})
	}
}

func (f *fixture) deleteFire(subject string, nth int) {
	f.t.Helper()
	at, err := f.messages("FIRES", subject)[nth].Metadata()
	if err != nil {
		f.t.Fatal(err)
	}
	s, err := f.js.Stream(f.t.Context(), "FIRES")
	if err != nil {
		f.t.Fatal(err)
	}
	if err := s.DeleteMsg(f.t.Context(), at.Sequence.Stream); err != nil {
		f.t.Fatal(err)
	}
}

// A fire that was purged while Belfry was away is found missing at the start.
func TestFiresPurgedWhileAway(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{AuditEvery: soon})
	stop := f.run()
	f.claimAll("a", 5)
	stop()
	f.purge(jetstream.WithPurgeSubject("fires.db.a"))
	f.reopen(streams.Config{AuditEvery: soon})
	f.run()
	eventually(t, "the fires are there again", func() bool { return f.firesOf("a") == 5 })
}

// Fires of NATS routes that a purge removes are lost to their subscribers; the log says
// how many.
func TestPurgedNATSFiresAreTold(t *testing.T) {
	t.Parallel()
	log := &lines{}
	f := open(t, streams.Config{AuditEvery: soon, Log: log.Logger()})
	f.run()
	f.route("turns", job.NATS)
	f.fireAll(0, 4)
	eventually(t, "FIRES was looked at", func() bool { return f.SawFires(t.Context()) })
	f.purge(jetstream.WithPurgeSubject("fires.db.turns"))
	eventually(t, "the log says so", func() bool {
		m := removedLine.FindStringSubmatch(log.String())
		return m != nil && m[1] == "4"
	})
	f.fireAll(4, 5)
	if seen := f.read(4); len(seen) != 1 {
		t.Errorf("after the purge the subscriber got %v", seen)
	}
}

// A purge of the jobs bucket is logged with how many jobs it has removed, and the timer
// goes on with the rest.
func TestPurgedJobsBucketIsTold(t *testing.T) {
	t.Parallel()
	log := &lines{}
	f := open(t, streams.Config{Log: log.Logger()})
	f.run()
	f.route("turns", job.NATS)
	for i := range 7 {
		f.create(newJob(fmt.Sprint("far", i), "turns", time.Now().Add(time.Duration(1+i)*time.Hour)))
	}
	s, err := f.js.Stream(t.Context(), "KV_jobs_0")
	if err != nil {
		t.Fatal(err)
	}
	f.fireAll(0, 1)
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.fireAll(1, 3)
	eventually(t, "the log says so", func() bool {
		return strings.Contains(log.String(), "the jobs in it are lost\" partition=0 jobs=7")
	})
	f.fireAll(3, 5)
	f.read(0, 1, 2, 3, 4)
	if n := strings.Count(log.String(), "are lost\" partition"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
}

// Purged routes are written back. For tokens see
// TestAuthenticationOutlivesTheLossOfTheBucketAtWork.
func TestPurgedRoutesAreWrittenBack(t *testing.T) {
	t.Parallel()
	log := &lines{}
	f := open(t, streams.Config{AuditEvery: soon, Log: log.Logger()})
	f.run()
	r := f.route("turns", job.NATS)
	f.route("hook", job.REST)
	gone := f.route("gone", job.REST)
	if err := f.Routes().Delete(t.Context(), gone.RouteKey, 0); err != nil {
		t.Fatal(err)
	}
	s, err := f.js.Stream(t.Context(), "KV_routes")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are there again", func() bool { return f.count("KV_routes") == 2 })
	if got, err := f.Routes().Get(t.Context(), r.RouteKey); err != nil || !got.SameContent(r) {
		t.Errorf("the route is %+v, %v; want it as it was", got, err)
	}
	eventually(t, "the log says so", func() bool { return strings.Contains(log.String(), "is written back") })
	if err := f.Routes().Delete(t.Context(), r.RouteKey, 0); err != nil {
		t.Fatal(err)
	}
}

// One route that is gone without a marker is noticed, even though its bucket has a probe.
func TestARemovedRouteIsMissedBesideAProbe(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{AuditEvery: soon})
	f.ProbeAfter(soon)
	f.run()
	f.route("first", job.NATS)
	f.route("second", job.NATS)
	s, err := f.js.Stream(t.Context(), "KV_routes")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bucket has a probe", func() bool { return f.count("KV_routes") == 3 })
	if err := s.Purge(t.Context(), jetstream.WithPurgeSubject("$KV.routes.db.second")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the route is there again", func() bool { return f.count("KV_routes") == 3 })
}
