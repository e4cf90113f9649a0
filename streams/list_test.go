package streams_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/job"
	"belfry/streams"
)

var farOff = time.UnixMilli(1_900_000_000_000)

// jobsOf creates jobs of the db with ids from, from+1 … and their trigger times
// as many milliseconds after farOff.
func (f *fixture) jobsOf(db, collection, route string, from, to int) {
	f.t.Helper()
	r := job.Route{RouteKey: job.RouteKey{DB: db, ID: route}, Type: job.NATS}
	if err := f.Routes().Create(f.t.Context(), r); err != nil {
		f.t.Fatal(err)
	}
	for i := from; i < to; i++ {
		j := newJob(fmt.Sprint(i), route, farOff.Add(time.Duration(i)*time.Millisecond))
		j.DB, j.Collection = db, collection
		f.create(j)
	}
}

// list walks all that the query selects, page by page.
func (f *fixture) list(q job.Query) (all []job.Record, pages int) {
	f.t.Helper()
	for {
		page, err := f.Jobs().List(f.t.Context(), q)
		if err != nil {
			f.t.Fatalf("list %+v: %v", q, err)
		}
		all = append(all, page.Jobs...)
		pages++
		if q.Cursor = page.Cursor; q.Cursor == (job.Cursor{}) {
			return all, pages
		}
	}
}

func TestJobsAreListed(t *testing.T) {
	for _, partitions := range []int{1, 3} {
		f := open(t, streams.Config{Partitions: partitions})
		f.jobsOf("db", "coll", "r", 0, 30)
		f.jobsOf("db", "coll", "s", 30, 50)
		f.jobsOf("db", "a.b *", "r", 100, 110)
		f.jobsOf("db.*", "coll", "r", 0, 5)
		for i := range 10 {
			if err := f.Jobs().Cancel(t.Context(), newJob(fmt.Sprint(i), "r", farOff).Key, 0); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.js.Publish(t.Context(), "$KV.jobs_0.db.coll.no-job", []byte("none")); err != nil {
			t.Fatal(err)
		}
		at := farOff.UnixMilli()
		for _, tt := range []struct {
			q    job.Query
			want int
		}{
			{job.Query{DB: "db"}, 60},
			{job.Query{DB: "db", Limit: 7}, 60},
			{job.Query{DB: "db", Limit: 60}, 60},
			{job.Query{DB: "db", Collection: "coll"}, 50},
			{job.Query{DB: "db", Collection: "a.b *", Limit: 3}, 10},
			{job.Query{DB: "db", Collection: "*"}, 0},
			{job.Query{DB: "*"}, 0},
			{job.Query{DB: "db.*", Limit: 1}, 5},
			{job.Query{DB: "none"}, 0},
			{job.Query{DB: "db", Route: "s", Limit: 6}, 20},
			{job.Query{DB: "db", Status: job.Cancelled, Limit: 4}, 10},
			{job.Query{DB: "db", Status: job.Scheduled}, 50},
			{job.Query{DB: "db", Status: job.Firing}, 0},
			{job.Query{DB: "db", Prefix: "1"}, 21},
			{job.Query{DB: "db", Collection: "coll", Prefix: "10"}, 1},
			{job.Query{DB: "db", DueAfter: at + 20, DueBefore: at + 40}, 20},
			{job.Query{DB: "db", Route: "r", DueAfter: at + 20, DueBefore: at + 40, Limit: 2}, 10},
		} {
			got, pages := f.list(tt.q)
			seen := map[job.Key]bool{}
			for _, r := range got {
				seen[r.Key] = true
				if !tt.q.Matches(r) || r.Meta != nil || r.Trigger == 0 || r.Revision == 0 {
					t.Errorf("%d partitions, %+v: got %+v; want those that match, whole, without meta", partitions, tt.q, r)
				}
			}
			if len(got) != tt.want || len(seen) != tt.want {
				t.Errorf("%d partitions, %+v: %d jobs, %d of them distinct, want %d", partitions, tt.q, len(got), len(seen), tt.want)
			}
			if most := tt.want/max(tt.q.Limit, 1) + 1; pages > most {
				t.Errorf("%d partitions, %+v: %d pages, want at most %d", partitions, tt.q, pages, most)
			}
		}
	}
}

// A crowd is read one by one: the pages are as those of a few, also when each
// is cut short by time.
func TestCrowdIsListed(t *testing.T) {
	f := open(t, streams.Config{})
	f.jobsOf("db", "coll", "r", 0, 300)
	f.jobsOf("other", "coll", "r", 0, 300)
	for i := range 290 { // leaves long gaps
		k := newJob(fmt.Sprint(i), "r", farOff).Key
		for range 3 {
			if err := f.Jobs().Fire(t.Context(), k); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, limit := range []int{7, 1000} {
		for _, reading := range []time.Duration{0, time.Minute} {
			f.ReadJobsFor(reading)
			for _, narrow := range []bool{false, true} {
				got, _ := f.list(job.Query{DB: "db", Limit: limit, Cursor: job.Cursor{Next: 1, Narrow: narrow}})
				ids := map[string]bool{}
				for _, r := range got {
					ids[r.Key.ID] = true
				}
				if len(got) != 300 || len(ids) != 300 {
					t.Errorf("limit %d, reading for %v, narrow %v: %d jobs, %d of them distinct, want 300", limit, reading, narrow, len(got), len(ids))
				}
			}
		}
	}
}

// No job is missed though all change while they are listed.
func TestJobsThatChangeAreNotMissed(t *testing.T) {
	f := open(t, streams.Config{Partitions: 2})
	const n = 200
	f.jobsOf("db", "coll", "r", 0, n)
	for _, narrow := range []bool{true, false} {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			for i := 0; ; i++ {
				j := newJob(fmt.Sprint(i*7%n), "r", farOff.Add(time.Duration(i)))
				if err := f.Jobs().Update(ctx, j, 0); err != nil {
					done <- err
					return
				}
			}
		}()
		ids := map[string]bool{}
		q := job.Query{DB: "db", Limit: 10, Cursor: job.Cursor{Next: 1, Narrow: narrow}}
		for q.Cursor != (job.Cursor{}) {
			page, err := f.Jobs().List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Jobs {
				ids[r.Key.ID] = true
			}
			if q.Cursor = page.Cursor; q.Cursor.Next > 0 {
				q.Cursor.Narrow = narrow
			}
		}
		stop()
		<-done
		if len(ids) != n {
			t.Errorf("narrow %v: %d jobs were listed, want %d", narrow, len(ids), n)
		}
	}
}

func TestCancelByFilter(t *testing.T) {
	f := open(t, streams.Config{Partitions: 2})
	f.jobsOf("db", "coll", "r", 0, 30)
	f.jobsOf("db", "coll", "s", 30, 40)
	f.jobsOf("db", "other", "r", 0, 5)
	cancel := func(q job.Query, dry bool, want int) {
		t.Helper()
		got := 0
		for {
			run, err := f.Jobs().CancelEach(t.Context(), q, dry)
			if err != nil {
				t.Fatalf("cancel %+v: %v", q, err)
			}
			if q.Limit > 0 && run.Cancelled > q.Limit || run.Skipped > 0 {
				t.Errorf("cancel %+v: %+v in one request", q, run)
			}
			got += run.Cancelled
			if q.Cursor = run.Cursor; q.Cursor == (job.Cursor{}) {
				break
			}
		}
		if got != want {
			t.Errorf("cancel %+v, dry %v: %d jobs, want %d", q, dry, got, want)
		}
	}
	cancel(job.Query{DB: "db", Route: "r"}, true, 35)
	cancel(job.Query{DB: "db", Collection: "coll", Route: "r", Limit: 4}, false, 30)
	cancel(job.Query{DB: "db", Collection: "coll", Route: "r"}, false, 0)
	cancel(job.Query{DB: "db", DueBefore: farOff.UnixMilli() + 1}, false, 1)
	left, _ := f.list(job.Query{DB: "db", Status: job.Scheduled})
	if len(left) != 14 {
		t.Errorf("%d jobs are left, want 14", len(left))
	}
	cancel(job.Query{DB: "db"}, false, 14)
}

// The revision that a change is for is part of its compare-and-set.
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

	// Of many with one revision exactly one comes through.
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

func TestPlaces(t *testing.T) {
	f := open(t, streams.Config{Partitions: 3})
	f.run()
	for i := range 12 {
		for _, collection := range []string{"a", "b.c"} {
			f.jobsOf(fmt.Sprintf("db.%02d", i), collection, "r", 0, i+1)
		}
	}
	for _, id := range []string{"one", "two"} {
		r := job.Route{RouteKey: job.RouteKey{DB: "routes only", ID: id}, Type: job.NATS}
		if err := f.Routes().Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	walk := func(q job.PlaceQuery) (all []job.Place) {
		t.Helper()
		for {
			page, err := f.Jobs().Places(t.Context(), q)
			if err != nil {
				t.Fatalf("places %+v: %v", q, err)
			}
			if q.Limit > 0 && len(page.Places) > q.Limit {
				t.Errorf("places %+v: %d in a page", q, len(page.Places))
			}
			all = append(all, page.Places...)
			if q.Cursor = page.Cursor; q.Cursor == (job.Cursor{}) {
				slices.SortFunc(all, func(a, b job.Place) int { return strings.Compare(a.Name, b.Name) })
				return all
			}
		}
	}
	want := []job.Place{}
	for i := range 12 {
		want = append(want, job.Place{Name: fmt.Sprintf("db.%02d", i), Jobs: uint64(2 * (i + 1)), Routes: 1})
	}
	want = append(want, job.Place{Name: "routes only", Routes: 2})
	for _, limit := range []int{0, 1, 5} {
		if diff := cmp.Diff(want, walk(job.PlaceQuery{Limit: limit})); diff != "" {
			t.Errorf("dbs, %d a page: (-want +got)\n%s", limit, diff)
		}
		collections := []job.Place{{Name: "a", Jobs: 12}, {Name: "b.c", Jobs: 12}}
		if diff := cmp.Diff(collections, walk(job.PlaceQuery{DB: "db.11", Limit: limit})); diff != "" {
			t.Errorf("collections, %d a page: (-want +got)\n%s", limit, diff)
		}
	}
	f.ReadJobsFor(0)
	if got := walk(job.PlaceQuery{}); len(got) != 13 {
		t.Errorf("%d dbs when each page is cut short, want 13", len(got))
	}
	if got := walk(job.PlaceQuery{DB: "none"}); len(got) != 0 {
		t.Errorf("an unknown db has %v", got)
	}

	var ids []string
	q := job.RouteQuery{DB: "routes only", Limit: 1}
	for {
		page, err := f.Routes().List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Routes {
			ids, q.After = append(ids, r.ID), r.ID
		}
		if !page.More {
			break
		}
	}
	if !slices.Equal(ids, []string{"one", "two"}) {
		t.Errorf("the routes are %v, want one and two", ids)
	}
}
