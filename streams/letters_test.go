package streams_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/job"
	"belfry/streams"
)

// letters writes letters into DEAD whose jobs have no records.
func (f *fixture) letters(n int, db, route string, reason job.Reason) {
	f.t.Helper()
	for i := range n {
		fire := job.Fire{
			Arming: job.Arming{
				Job: job.Job{
					Key: job.Key{DB: db, Collection: "coll", ID: fmt.Sprint(i)}, Route: route,
					Trigger: 1_900_000_000_000, Meta: []byte(`{"n":1}`),
				},
				FireID: fmt.Sprintf("%s-%s-%s-%d", db, route, reason, i), Attempt: 12,
			},
			Claim: uint64(i + 1),
		}
		if err := f.Jobs().Bury(f.t.Context(), fire, job.Result{Reason: reason, Detail: "status 500"}); err != nil {
			f.t.Fatal(err)
		}
	}
}

// walk lists everything that the query selects, page by page.
func (f *fixture) walk(q job.LetterQuery) (all []job.Letter, pages int) {
	f.t.Helper()
	for {
		page, err := f.Letters().List(f.t.Context(), q)
		if err != nil {
			f.t.Fatalf("list %+v: %v", q, err)
		}
		all = append(all, page.Letters...)
		pages++
		if q.Cursor = page.Cursor; q.Cursor == (job.LetterCursor{}) {
			return all, pages
		}
	}
}

func TestLettersAreListed(t *testing.T) {
	f := open(t, streams.Config{})
	f.letters(30, "db", "r", job.ReasonExhausted)
	f.letters(20, "db", "s", job.ReasonGone)
	if _, err := f.js.Publish(t.Context(), "dead.db.r", []byte("no letter")); err != nil {
		t.Fatal(err)
	}
	f.letters(10, "db.*", "r", job.ReasonExhausted)
	_, err := f.js.Publish(t.Context(), "dead.db.by-hand", nil)
	if err != nil {
		t.Fatal(err)
	}
	all, _ := f.walk(job.LetterQuery{DB: "db"})
	middle := all[30].Died.UnixMilli() // letters before and after may have the same time
	before, behind := 0, 0
	for _, l := range all {
		if l.Died.UnixMilli() < middle {
			before++
		} else {
			behind++
		}
	}
	for _, tt := range []struct {
		q    job.LetterQuery
		want int
	}{
		{job.LetterQuery{DB: "db"}, 50},
		{job.LetterQuery{DB: "db", Limit: 7}, 50},
		{job.LetterQuery{DB: "db", Limit: 50}, 50},
		{job.LetterQuery{DB: "db.*"}, 10},
		{job.LetterQuery{DB: "none"}, 0},
		{job.LetterQuery{DB: "*"}, 0},
		{job.LetterQuery{DB: "db", Route: "r"}, 30},
		{job.LetterQuery{DB: "db", Route: "s", Limit: 1}, 20},
		{job.LetterQuery{DB: "db", Route: ">"}, 0},
		{job.LetterQuery{DB: "db", Reason: job.ReasonGone, Limit: 3}, 20},
		{job.LetterQuery{DB: "db", Route: "r", Reason: job.ReasonGone}, 0},
		{job.LetterQuery{DB: "db", After: middle, Limit: 4}, behind},
		{job.LetterQuery{DB: "db", Before: middle, Limit: 4}, before},
		{job.LetterQuery{DB: "db", After: middle, Before: middle}, 0},
		{job.LetterQuery{DB: "db", After: time.Now().Add(time.Hour).UnixMilli()}, 0},
	} {
		got, pages := f.walk(tt.q)
		if len(got) != tt.want {
			t.Errorf("%+v: %d letters, want %d", tt.q, len(got), tt.want)
		}
		if most := tt.want/max(tt.q.Limit, 1) + 1; pages > most {
			t.Errorf("%+v: %d pages, want at most %d", tt.q, pages, most)
		}
		for i, l := range got {
			if i > 0 && l.Number <= got[i-1].Number || l.Meta != nil || !tt.q.Matches(l) {
				t.Errorf("%+v: letter %d is %+v; want those that match, in order, without meta", tt.q, i, l)
			}
		}
	}

	dead, err := f.js.Stream(t.Context(), "DEAD")
	if err != nil {
		t.Fatal(err)
	}
	if n := dead.CachedInfo().State.Consumers; n != 0 {
		t.Errorf("%d consumers are left behind", n)
	}

	l, err := f.Letters().Get(t.Context(), "db", all[0].Number)
	want := all[0]
	want.Meta = []byte(`{"n":1}`)
	if diff := cmp.Diff(want, l); err != nil || diff != "" {
		t.Errorf("the first letter, %v, differs from the list (-want +got):\n%s", err, diff)
	}
	for db, number := range map[string]uint64{"db.*": all[0].Number, "db": 99999, "none": 1} {
		if _, err := f.Letters().Get(t.Context(), db, number); !errors.Is(err, job.ErrLetterNotFound) {
			t.Errorf("letter %d of db %q: %v, want ErrLetterNotFound", number, db, err)
		}
	}
}

// A filter that matches little does not read on forever: its pages are short.
func TestListStopsInTime(t *testing.T) {
	f := open(t, streams.Config{})
	f.letters(20, "db", "r", job.ReasonExhausted)
	f.ScanLettersFor(time.Nanosecond)
	got, pages := f.walk(job.LetterQuery{DB: "db", Reason: job.ReasonGone})
	if len(got) != 0 || pages != 20 {
		t.Errorf("%d letters on %d pages, want none on 20", len(got), pages)
	}
}
