package streams_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/streams"
)

var farOff = time.UnixMilli(1_900_000_000_000)

// jobsOf creates jobs of the db with the ids from, from+1 and so on. Their trigger times
// are that many milliseconds after farOff.
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

// list walks everything that the query selects, page by page.
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

// A job that changes while a page is read is on it once, and every job on it matches the
// query.
func TestAPageHasAJobOnce(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	const jobs = 500
	f.jobsOf("db", "coll", "r", 0, jobs)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var changing sync.WaitGroup
	defer changing.Wait()
	defer stop()
	changing.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			j := newJob(fmt.Sprint(i%jobs), "r", farOff.Add(time.Duration(i)*time.Second))
			j.DB, j.Collection = "db", "coll"
			if err := f.Jobs().Update(ctx, j, 0); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	for met := 0; met < 10; {
		info, err := f.js.Stream(t.Context(), "KV_jobs_0")
		if err != nil {
			t.Fatal(err)
		}
		before := info.CachedInfo().State.LastSeq
		page, err := f.Jobs().List(t.Context(), job.Query{DB: "db", Limit: jobs + 100})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[job.Key]bool{}
		for _, r := range page.Jobs {
			if seen[r.Key] {
				t.Fatalf("job %s is on the page twice", r.ID)
			}
			seen[r.Key] = true
		}
		if slices.ContainsFunc(page.Jobs, func(r job.Record) bool { return r.Revision > before }) {
			met++
		}
	}
}

// A crowd is read one by one. Its pages equal those of a few jobs, even if each is cut
// short by time.
func TestCrowdIsListed(t *testing.T) {
	f := open(t, streams.Config{})
	f.jobsOf("db", "coll", "r", 0, 300)
	f.jobsOf("other", "coll", "r", 0, 300)
	for i := range 290 { // this leaves long gaps
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

// No job is missed though all jobs change while they are listed.
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
