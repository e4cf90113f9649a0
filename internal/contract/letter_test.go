package contract_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// A query string and the body with the same filters select the same letters.
func TestLetterFilters(t *testing.T) {
	for _, tt := range []struct {
		query, body string
		want        job.LetterQuery
	}{
		{"", `{"all":true}`, job.LetterQuery{}},
		{"route=a%2Fb", `{"route":"a/b","all":false}`, job.LetterQuery{Route: "a/b"}},
		{"reason=unread&after=100000000000&before=1667659342626", `{"reason":"unread","after":100000000000,"before":1667659342626}`,
			job.LetterQuery{Reason: job.ReasonUnread, After: job.MinTrigger, Before: 1667659342626}},
		{"route=r&limit=1000&cursor=7-12", `{"route":"r","limit":1000,"cursor":"7-12"}`,
			job.LetterQuery{Route: "r", Limit: 1000, Cursor: job.LetterCursor{Next: 7, Last: 12}}},
	} {
		tt.want.DB = "db"
		got, err := contract.ParseLetterQuery(tt.query, "db")
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("query %q: %v (-want +got):\n%s", tt.query, err, diff)
		}
		got, err = contract.ParseLetterRun([]byte(tt.body), "db")
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("body %s: %v (-want +got):\n%s", tt.body, err, diff)
		}
	}
}

func TestLetterFiltersRefused(t *testing.T) {
	for _, tt := range []struct {
		query string
		want  error
		says  string
	}{
		{"rout=r", job.ErrFilter, `"rout" is unknown; accepted are route, reason, after, before, limit, cursor`},
		{"all=true", job.ErrFilter, `"all" is unknown`},
		{"route=r&route=s", job.ErrFilter, `"route" is given 2 times`},
		{"route=%zz", job.ErrFilter, "percent-encoded"},
		{"route=", job.ErrID, "route is empty"},
		{"reason=", job.ErrFilter, "reason is empty; accepted are [try_failed"},
		{"reason=bored", job.ErrFilter, `reason is "bored"; accepted are [try_failed`},
		{"after=yesterday", job.ErrFilter, `after is "yesterday"; a whole number`},
		{"before=-1", job.ErrFilter, `before is "-1"`},
		{"before=99999999999999999", job.ErrFilter, "before: 99999999999999999 is after the year 9999"},
		{"limit=0", job.ErrFilter, `limit is "0"; a whole number from 1`},
		{"limit=1001", job.ErrFilter, "limit is 1001; 1 to 1000"},
		{"cursor=x", job.ErrFilter, `cursor is "x"`},
		{"cursor=1-99999999999999999999", job.ErrFilter, "cursor is"},
		{"cursor=0-5", job.ErrFilter, "cursor is"},
	} {
		_, err := contract.ParseLetterQuery(tt.query, "db")
		checkRefusal(t, tt.query, err, tt.want, tt.says)
	}
	for _, tt := range []struct {
		body string
		want error
		says string
	}{
		{``, job.ErrEmptyBody, "object"},
		{`{}`, job.ErrNoFilter, `route, reason, after, before are accepted, or "all": true`},
		{`{"all":false}`, job.ErrNoFilter, "all"},
		{`{"limit":5,"cursor":"1-2"}`, job.ErrNoFilter, "all"},
		{`{"after":0}`, job.ErrNoFilter, "all"},
		{`{"all":true,"route":"r"}`, job.ErrFilter, "beside a filter"},
		{`{"all":"true"}`, job.ErrFieldType, "all is a string; a boolean"},
		{`{"route":""}`, job.ErrID, "route is empty"},
		{`{"route":"r","reason":""}`, job.ErrFilter, "reason is empty"},
		{`{"after":"5"}`, job.ErrFieldType, "after is a string; a number"},
		{`{"after":1.5}`, job.ErrFilter, `after is "1.5"; a whole number`},
		{`{"cursor":5}`, job.ErrFieldType, "cursor is a number"},
		{`{"db":"x"}`, job.ErrUnknownField, "accepted are all, route, reason, after, before, limit, cursor"},
	} {
		_, err := contract.ParseLetterRun([]byte(tt.body), "db")
		checkRefusal(t, tt.body, err, tt.want, tt.says)
	}
}

func FuzzParseLetterQuery(f *testing.F) {
	for _, s := range []string{"", "route=r&reason=unread&after=1667659342626&before=1667659342627&limit=3&cursor=4-5", "cursor=-", "limit=1e3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := contract.ParseLetterQuery(raw, "db")
		if err != nil {
			return
		}
		if q.Limit < 0 || q.Limit > job.MaxLetters || q.Check() != nil {
			t.Errorf("%q is accepted as %+v", raw, q)
		}
		body := map[string]any{"all": !q.Filtered()}
		values, _ := url.ParseQuery(raw)
		for name := range values {
			if v := values.Get(name); name == "route" || name == "reason" || name == "cursor" {
				body[name] = v
			} else {
				body[name] = json.Number(fmt.Sprint(map[string]any{"after": q.After, "before": q.Before, "limit": q.Limit}[name]))
			}
		}
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		again, err := contract.ParseLetterRun(data, "db")
		if diff := cmp.Diff(q, again); err != nil || diff != "" {
			t.Errorf("%q and %s differ: %v\n%s", raw, data, err, diff)
		}
	})
}

func TestAppendLetters(t *testing.T) {
	l := job.Letter{
		Fire: job.Fire{Arming: job.Arming{Job: job.Job{Key: job.Key{DB: "d", Collection: "c", ID: "<i>"}, Route: "r", Trigger: 5, Meta: []byte(`{ "a":1}`)}, FireID: "fire", Attempt: 12}},
		Died: time.UnixMilli(9), Number: 3, Reason: job.ReasonExhausted, Detail: "status 500: \xff",
	}
	const fields = `{"sequence":3,"db":"d","collection":"c","id":"<i>","route":"r","reason":"attempts_exhausted","detail":"status 500: ` + "\ufffd" + `","trigger_time":5,"died_at":9,"attempts":12`
	for _, tt := range []struct{ got, want string }{
		{string(contract.AppendLetter(nil, l)), fields + `,"meta":{ "a":1}}`},
		{string(contract.AppendLetters(nil, job.Letters{})), `{"dead":[]}`},
		{string(contract.AppendLetters(nil, job.Letters{Letters: []job.Letter{l, l}, Cursor: job.LetterCursor{Next: 4, Last: 9}})),
			`{"dead":[` + fields + `},` + fields + `}],"cursor":"4-9"}`},
		{string(contract.AppendLetterRun(nil, "redriven", job.LetterRun{Done: 2})), `{"redriven":2,"skipped":0}`},
		{string(contract.AppendLetterRun(nil, "discarded", job.LetterRun{
			Skipped: []job.SkippedLetter{{Key: l.Key, Number: 3, Why: job.SkipArmed}}, Cursor: job.LetterCursor{Next: 4, Last: 9},
		})), `{"discarded":0,"skipped":1,"skips":[{"sequence":3,"db":"d","collection":"c","id":"<i>","why":"armed_again"}],"cursor":"4-9"}`},
	} {
		if tt.got != tt.want || !json.Valid([]byte(tt.got)) {
			t.Errorf("got  %s\nwant %s", tt.got, tt.want)
		}
	}
}
