package streams_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/job"
	"belfry/streams"
)

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
