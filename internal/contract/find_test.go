package contract_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/contract"
	"belfry/internal/job"
)

func TestParseFind(t *testing.T) {
	t.Parallel()
	all := job.Query{DB: "db", Collection: "c"}
	some := all
	some.Status, some.Route, some.Prefix = job.Retrying, "r", "a"
	some.DueAfter, some.DueBefore, some.Limit = job.MinTrigger, job.MaxTrigger, 1000
	some.Cursor = job.Cursor{Next: 7, Narrow: true}
	for _, tt := range []struct {
		body string
		want job.Query
		err  error
	}{
		{"", all, nil},
		{" \n", all, nil},
		{"{}", all, nil},
		{`{"status":"retrying","route":"r","prefix":"a","due_after":100000000000,"due_before":253402300799999,"limit":1000,"cursor":"0-7-1"}`, some, nil},
		{`{"due_after":1667659342}`, all, job.ErrFilter},
		{`{"limit":1001}`, all, job.ErrFilter},
		{`{"limit":"10"}`, all, job.ErrFieldType},
		{`{"limit":1.5}`, all, job.ErrFilter},
		{`{"status":"late"}`, all, job.ErrFilter},
		{`{"status":null}`, all, job.ErrFieldType},
		{`{"route":""}`, all, job.ErrID},
		{`{"all":true}`, all, job.ErrUnknownField},
		{`{"limit":1,"limit":1}`, all, job.ErrDuplicateField},
		{"[]", all, job.ErrFieldType},
		{"{", all, job.ErrSyntax},
	} {
		got, err := contract.ParseFind([]byte(tt.body), "db", "c")
		if diff := cmp.Diff(tt.want, got); !errors.Is(err, tt.err) || err == nil && diff != "" {
			t.Errorf("ParseFind(%q): error %v, want %v; (-want +got):\n%s", tt.body, err, tt.err, diff)
		}
	}
}

func TestParseRouteFind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body string
		want job.RouteQuery
		err  error
	}{
		{"", job.RouteQuery{DB: "db"}, nil},
		{"{}", job.RouteQuery{DB: "db"}, nil},
		{`{"limit":5,"cursor":"r"}`, job.RouteQuery{DB: "db", Limit: 5, After: "r"}, nil},
		{`{"limit":0}`, job.RouteQuery{}, job.ErrFilter},
		{`{"cursor":""}`, job.RouteQuery{}, job.ErrFilter},
		{`{"cursor":5}`, job.RouteQuery{}, job.ErrFieldType},
		{`{"status":"retrying"}`, job.RouteQuery{}, job.ErrUnknownField},
	} {
		got, err := contract.ParseRouteFind([]byte(tt.body), "db")
		if diff := cmp.Diff(tt.want, got); !errors.Is(err, tt.err) || err == nil && diff != "" {
			t.Errorf("ParseRouteFind(%q): error %v, want %v; (-want +got):\n%s", tt.body, err, tt.err, diff)
		}
	}
}

func TestParseID(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body, want string
		err        error
	}{
		{`{"id":"a b"}`, "a b", nil},
		{"", "", job.ErrEmptyBody},
		{"{}", "", job.ErrMissingField},
		{`{"id":""}`, "", job.ErrID},
		{`{"id":7}`, "", job.ErrFieldType},
		{`{"id":"a","db":"b"}`, "", job.ErrUnknownField},
		{`"a"`, "", job.ErrFieldType},
	} {
		if got, err := contract.ParseID([]byte(tt.body)); !errors.Is(err, tt.err) || err == nil && got != tt.want {
			t.Errorf("ParseID(%q) = %q, %v; want %q, %v", tt.body, got, err, tt.want, tt.err)
		}
	}
}

func FuzzBodies(f *testing.F) {
	for _, body := range []string{
		"", "{}", `{"id":"a"}`, `{"id":"a","paused_until":4102444800000}`,
		`{"status":"retrying","due_after":1667659342626,"limit":1000,"cursor":"0-7-1"}`, `{"limit":5,"cursor":"r"}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if id, err := contract.ParseID([]byte(body)); err == nil && job.CheckID("id", id) != nil {
			t.Errorf("ParseID(%q) = %q, which is no id", body, id)
		}
		if id, until, err := contract.ParsePause([]byte(body), ""); err == nil && (job.CheckID("id", id) != nil || until < 0) {
			t.Errorf("ParsePause(%q) = %q, %d", body, id, until)
		}
		if q, err := contract.ParseFind([]byte(body), "db", ""); err == nil && (q.Check() != nil || q.Limit > job.MaxJobs) {
			t.Errorf("ParseFind(%q) = %+v", body, q)
		}
		if q, err := contract.ParseRouteFind([]byte(body), "db"); err == nil && (q.Limit > job.MaxJobs || len(q.After) > job.MaxIDBytes) {
			t.Errorf("ParseRouteFind(%q) = %+v", body, q)
		}
	})
}
