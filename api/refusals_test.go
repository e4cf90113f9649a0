package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"belfry/api"
	"belfry/internal/job"
	"belfry/internal/room"
)

// trigger is the trigger time of these tests' jobs, and the time at which they are
// cancelled.
var trigger = time.UnixMilli(1667659342626)

// refusal is a request and how it is refused.
type refusal struct {
	method, path, body string
	fail               error // the store's answer, if it is asked at all
	status             int
	code               string
	says               string // part of the reason
}

// refusals are checked against a store with a REST route "r" and a NATS route
// "n", and jobs "waiting", "firing" and "done".
var refusals = []refusal{
	{"POST", "/job/db/coll", ``, nil, 400, "E001", "empty"},
	{"PUT", "/job/db/coll/waiting", "\n", nil, 400, "E001", "empty"},
	{"POST", "/route/db", ``, nil, 400, "E001", "empty"},
	{"PUT", "/route/db/r", ``, nil, 400, "E001", "empty"},
	{"POST", "/job/db/coll", `hello`, nil, 400, "E002", "byte 0"},
	{"POST", "/job/db/coll", `{"id":"x"`, nil, 400, "E002", "ends too early"},
	{"POST", "/job/db/coll", goodJob + goodJob, nil, 400, "E002", "follows"},
	{"POST", "/job/db/coll", goodJob + `x`, nil, 400, "E002", "follows"},
	{"POST", "/job/db/coll", `{"id":"` + "\xff" + `"}`, nil, 400, "E002", "UTF-8"},
	{"POST", "/job/db/coll", `{"meta":` + strings.Repeat("[", 100_000), nil, 400, "E002", "depth"},
	{"PUT", "/route/db/r", `{"type":}`, nil, 400, "E002", "byte 8"},
	{"POST", "/job/db/coll", `{"id":"x","id":"x"}`, nil, 400, "E003", "id"},
	{"POST", "/route/db", `{"type":"NATS","type":"NATS"}`, nil, 400, "E003", "type"},
	{"POST", "/job/db/coll", `{"id":"x","when":1}`, nil, 400, "E004", `"when"; accepted are id, trigger_time, meta, route`},
	{"PUT", "/job/db/coll/waiting", `{"db":"x","when":1}`, nil, 400, "E004", `"when"; accepted are id, trigger_time, meta, route`},
	{"POST", "/route/db", `{"url":"x"}`, nil, 400, "E004", `"url"; accepted are id, type, webhook_url`},
	{"POST", "/job/db/coll", `{"trigger_time":1667659342626,"route":"r"}`, nil, 400, "E005", "id"},
	{"POST", "/job/db/coll", `{"id":"x","route":"r"}`, nil, 400, "E005", "trigger_time"},
	{"PUT", "/job/db/coll/waiting", `{"trigger_time":1667659342626}`, nil, 400, "E005", "route"},
	{"POST", "/route/db", `{"id":"x","type":"REST"}`, nil, 400, "E005", "webhook_url"},
	{"POST", "/job/db/coll", `[]`, nil, 400, "E006", "an array; an object is accepted"},
	{"POST", "/job/db/coll", `null`, nil, 400, "E006", "null"},
	{"POST", "/job/db/coll", `{"id":1}`, nil, 400, "E006", "id is a number; a string is accepted"},
	{"POST", "/job/db/coll", `{"trigger_time":"1667659342626"}`, nil, 400, "E006", "trigger_time is a string; unix milliseconds"},
	{"POST", "/route/db", `{"webhook_url":{}}`, nil, 400, "E006", "webhook_url is an object"},
	{"POST", "/job/db/coll", `{"id":"","trigger_time":1667659342626,"route":"r"}`, nil, 400, "E007", "id is empty"},
	{"POST", "/job/db/coll", `{"id":"x","trigger_time":1667659342626,"route":""}`, nil, 400, "E007", "route is empty"},
	{"POST", "/job/db/coll", `{"id":"` + strings.Repeat("x", 201) + `","trigger_time":1667659342626,"route":"r"}`, nil, 400, "E007", "201 bytes"},
	{"POST", "/job//coll", goodJob, nil, 400, "E007", "db is empty"},
	{"POST", "/job/%FF/coll", goodJob, nil, 400, "E007", "db is not valid UTF-8"},
	{"POST", "/job/db/" + strings.Repeat("x", 201), goodJob, nil, 400, "E007", "collection has 201 bytes"},
	{"GET", "/job/db//one", ``, nil, 400, "E007", "collection is empty"},
	{"GET", "/job/db/coll/", ``, nil, 400, "E007", "id is empty"},
	{"PUT", "/job/db/coll/", goodJob, nil, 400, "E007", "id is empty"},
	{"DELETE", "/job/db/coll/", ``, nil, 400, "E007", "id is empty"},
	{"DELETE", "/job/db/coll/%C3%28", ``, nil, 400, "E007", "id is not valid UTF-8"},
	{"GET", "/job/db/coll/" + strings.Repeat("%2F", 201), ``, nil, 400, "E007", "id has 201 bytes"},
	{"POST", "/route/%ff", `{"id":"x","type":"NATS"}`, nil, 400, "E007", "db is not valid UTF-8"},
	{"GET", "/route/db/", ``, nil, 400, "E007", "id is empty"},
	{"PUT", "/route/db/", `{"type":"NATS"}`, nil, 400, "E007", "id is empty"},
	{"DELETE", "/route/db/", ``, nil, 400, "E007", "id is empty"},
	{"DELETE", "/route//r", ``, nil, 400, "E007", "db is empty"},
	{"PUT", "/job/db/coll/waiting", `{"id":"x","trigger_time":1667659342626,"route":"r"}`, nil, 400, "E008", `the id "x" and is addressed by "waiting"`},
	{"PUT", "/route/db/r", `{"id":"R","type":"REST","webhook_url":"h"}`, nil, 400, "E008", `"R"`},
	{"POST", "/job/db/coll", `{"trigger_time":1667659342}`, nil, 400, "E009", "looks like seconds; unix milliseconds"},
	{"POST", "/job/db/coll", `{"trigger_time":1667659342626.0}`, nil, 400, "E009", "not an integer"},
	{"POST", "/job/db/coll", `{"trigger_time":1.6e12}`, nil, 400, "E009", "not an integer"},
	{"POST", "/job/db/coll", `{"trigger_time":-1667659342626}`, nil, 400, "E009", "negative"},
	{"PUT", "/job/db/coll/waiting", `{"trigger_time":253402300800000}`, nil, 400, "E009", "9999"},
	{"POST", "/job/db/coll", `{"trigger_time":99999999999999999999}`, nil, 400, "E009", "20 digits"},
	{"POST", "/route/db", `{"id":"x","type":"SMTP"}`, nil, 400, "E010", `"SMTP"; "REST" and "NATS"`},
	{"POST", "/route/db", `{"id":"x","type":"REST","webhook_url":"ftp://h"}`, nil, 400, "E011", "http or https"},
	{"PUT", "/route/db/n", `{"type":"NATS","webhook_url":"h"}`, nil, 400, "E011", "NATS"},
	{"POST", "/route/db", `{"id":"x","type":"REST","webhook_url":"h","timeout_ms":99}`, nil, 400, "E013", "timeout_ms: 99; accepted: 100 to 300000"},
	{"POST", "/route/db", `{"id":"x","type":"REST","webhook_url":"h","secret":"` + job.Hidden + `"}`, nil, 400, "E013", "it is the placeholder, and none is stored"},
	{"PUT", "/route/db/n", `{"type":"NATS","timeout_ms":1000}`, nil, 400, "E013", "timeout_ms: the route is of type NATS; accepted: the field for routes of type REST"},
	{"POST", "/route/db/n/rotate", ``, nil, 400, "E013", "signs nothing"},
	{"POST", "/route/db/r/rotate", `{"secret":"hunter2"}`, nil, 400, "E013", `secret: it has neither prefix; accepted: "whsec_"`},
	{"POST", "/route/db/r/rotate", `{"grace_ms":-1}`, nil, 400, "E013", "grace_ms"},
	{"POST", "/route/db/none/rotate", ``, nil, 400, "E106", "route not found"},
	{"GET", "/route/db/r/rotate", ``, nil, 405, "E202", "POST is allowed"},
	{"POST", "/route/db/none/pause", ``, nil, 400, "E106", "route not found"},
	{"POST", "/route/db/none/resume", ``, nil, 400, "E106", "route not found"},
	{"POST", "/route/db/r/pause", `{"paused_until":1}`, nil, 400, "E013", "paused_until: 1; accepted: a unix time in milliseconds"},
	{"POST", "/route/db/r/pause", `{"for":"ever"}`, nil, 400, "E004", "for"},
	{"POST", "/job/db/coll", `{"meta":"` + strings.Repeat("x", 512<<10-1) + `"}`, nil, 413, "E012", "meta has 524289 bytes; up to 524288"},
	{"POST", "/job/db/coll", strings.Repeat(" ", 528<<10+1), nil, 413, "E012", "the body has more than 540672 bytes"},
	{"PUT", "/job/db/coll/waiting", strings.Repeat(" ", 528<<10+1), nil, 413, "E012", "540672"},
	{"POST", "/route/db", strings.Repeat(" ", 16<<10+1), nil, 413, "E012", "the body has more than 16384 bytes"},
	{"PUT", "/route/db/r", strings.Repeat(" ", 16<<10+1), nil, 413, "E012", "16384"},
	{"POST", "/restore", ``, nil, 400, "E014", "it is empty"},
	{"POST", "/restore", `{"id":"x"}`, nil, 400, "E014", "its first line is not that of a backup"},
	{"POST", "/restore", strings.Replace(emptyBackup, `"version":1`, `"version":2`, 1), nil, 400, "E014", "its version is 2; this Belfry reads version 1"},
	{"POST", "/restore", strings.SplitAfter(emptyBackup, "\n")[0], nil, 400, "E014", "it was cut off"},
	{"POST", "/restore", emptyBackup, fmt.Errorf("%w: there are jobs", job.ErrNotEmpty), 409, "E141", "the server is not empty: there are jobs"},
	{"GET", "/restore", ``, nil, 405, "E202", "POST is allowed"},
	{"GET", "/dead/db?rout=r", ``, nil, 400, "E021", `"rout" is unknown; accepted are route, reason, after, before, limit, cursor`},
	{"GET", "/dead/db?limit=1001", ``, nil, 400, "E021", "limit is 1001; 1 to 1000"},
	{"GET", "/dead/db?route=", ``, nil, 400, "E007", "route is empty"},
	{"POST", "/dead/db/redrive", `{"reason":"bored"}`, nil, 400, "E021", `reason is "bored"`},
	{"POST", "/dead/db/redrive", ``, nil, 400, "E001", "empty"},
	{"POST", "/dead/db/redrive", `{"limit":5}`, nil, 400, "E022", `or "all": true`},
	{"POST", "/dead/db/discard", `{}`, nil, 400, "E022", `or "all": true`},
	{"POST", "/dead/db/discard", `{"everything":true}`, nil, 400, "E004", "accepted are all, route"},
	{"POST", "/dead/db/discard", strings.Repeat(" ", 16<<10+1), nil, 413, "E012", "16384"},
	{"GET", "/job/db?statu=dead", ``, nil, 400, "E021", `"statu" is unknown; accepted are status, route, due_after, due_before, prefix, limit, cursor`},
	{"GET", "/job/db/coll?status=bored", ``, nil, 400, "E021", `status is "bored"; accepted are [scheduled `},
	{"GET", "/job/db?status=", ``, nil, 400, "E021", "status is empty"},
	{"GET", "/job/db?limit=1001", ``, nil, 400, "E021", "limit is 1001; 1 to 1000"},
	{"GET", "/job/db?limit=1&limit=2", ``, nil, 400, "E021", `"limit" is given 2 times`},
	{"GET", "/job/db?due_after=-1", ``, nil, 400, "E021", `due_after is "-1"; a whole number from 0 on`},
	{"GET", "/job/db?due_after=1667659342", ``, nil, 400, "E021", "due_after: 1667659342 looks like seconds"},
	{"POST", "/cancel/db", `{"due_after":1667659342}`, nil, 400, "E021", "due_after: 1667659342 looks like seconds"},
	{"GET", "/job/db?due_before=253402300800000", ``, nil, 400, "E021", "due_before: 253402300800000 is after the year 9999"},
	{"GET", "/job/db?cursor=0-0-0", ``, nil, 400, "E021", `cursor is "0-0-0"`},
	{"GET", "/job/db?cursor=1-2", ``, nil, 400, "E021", `cursor is "1-2"`},
	{"GET", "/job/db?prefix=", ``, nil, 400, "E007", "prefix is empty"},
	{"GET", "/job/db?x=%zz", ``, nil, 400, "E021", "not percent-encoded"},
	{"GET", "/route/db?status=x", ``, nil, 400, "E021", "accepted are limit, cursor"},
	{"GET", "/route/db?cursor=", ``, nil, 400, "E021", `cursor is ""`},
	{"GET", "/db?limit=0", ``, nil, 400, "E021", `limit is "0"`},
	{"GET", "/db/db?cursor=x", ``, nil, 400, "E021", `cursor is "x"`},
	{"POST", "/cancel/db", ``, nil, 400, "E001", "empty"},
	{"POST", "/cancel/db", `{}`, nil, 400, "E022", `or "all": true`},
	{"POST", "/cancel/db", `{"dry_run":true,"limit":1}`, nil, 400, "E022", `or "all": true`},
	{"POST", "/cancel/db/coll", `{"all":true,"prefix":"x"}`, nil, 400, "E021", `"all": true stands beside a filter`},
	{"POST", "/cancel/db/coll", `{"all":1}`, nil, 400, "E006", "all is a number"},
	{"POST", "/cancel/db/coll", `{"limit":10001}`, nil, 400, "E021", "1 to 10000"},
	{"POST", "/cancel/db/coll", `{"due_after":"x"}`, nil, 400, "E006", "due_after is a string"},
	{"POST", "/cancel/db/coll", `{"when":1}`, nil, 400, "E004", "accepted are all, dry_run, status"},
	{"GET", "/dead//1", ``, nil, 400, "E007", "db is empty"},

	{"POST", "/token", `{"role":"root","all_dbs":true}`, nil, 400, "E031", `role: "root"`},
	{"POST", "/token", ``, nil, 400, "E001", "empty"},
	{"DELETE", "/token/", ``, nil, 400, "E007", "id is empty"},

	{"GET", "/job/db/coll/none", ``, nil, 400, "E101", "job not found"},
	{"GET", "/job/db/coll/none/attempts", ``, nil, 400, "E101", "job not found"},
	{"POST", "/job/db/coll/none/fire", ``, nil, 400, "E101", "job not found"},
	{"PUT", "/job/db/coll/none", `{"trigger_time":1667659342626,"route":"r"}`, nil, 400, "E101", "job not found"},
	{"DELETE", "/job/db/coll/none", ``, nil, 400, "E101", "job not found"},
	{"POST", "/job/db/coll", `{"id":"waiting","trigger_time":1667659342627,"route":"r"}`, nil, 400, "E102", "other content"},
	{"PUT", "/job/db/coll/firing", `{"trigger_time":1667659342626,"route":"r"}`, nil, 400, "E103", "begun to fire"},
	{"DELETE", "/job/db/coll/firing", ``, nil, 400, "E103", "begun to fire"},
	{"POST", "/job/db/coll/firing/fire", ``, nil, 400, "E103", "begun to fire"},
	{"POST", "/job/db/coll/done/fire", ``, nil, 400, "E104", "finished"},
	{"PUT", "/job/db/coll/done", `{"trigger_time":1667659342626,"route":"r"}`, nil, 400, "E104", "finished"},
	{"DELETE", "/job/db/coll/done", ``, nil, 400, "E104", "finished"},
	{"GET", "/job/db/coll/waiting", ``, job.ErrNotAJob, 400, "E105", "not a job"},
	{"GET", "/job/db/coll/waiting", ``, fmt.Errorf("%w: %w: when", job.ErrNotAJob, job.ErrUnknownField), 400, "E105", "when"},
	{"POST", "/job/db/coll", `{"id":"x","trigger_time":1667659342626,"route":"none"}`, nil, 400, "E106", `route is "none"`},
	{"GET", "/route/db/none", ``, nil, 400, "E106", "route not found"},
	{"GET", "/route/db/r", ``, fmt.Errorf("%w: key db.r", job.ErrNotARoute), 400, "E111", "key db.r"},
	{"POST", "/job/db/coll", `{"id":"x","trigger_time":1667659342626,"route":"r"}`, fmt.Errorf("%w: key db.r", job.ErrNotARoute), 400, "E111", "not a route"},
	{"PUT", "/route/db/none", `{"type":"NATS"}`, nil, 400, "E106", "route not found"},
	{"DELETE", "/route/db/none", ``, nil, 400, "E106", "route not found"},
	{"POST", "/route/db", `{"id":"r","type":"NATS"}`, nil, 400, "E107", "other content"},
	{"PUT", "/route/db/r", `{"type":"NATS"}`, nil, 400, "E108", "cannot be changed"},
	{"POST", "/route/db", `{"id":"x","type":"NATS"}`, fmt.Errorf("%w: try again", job.ErrRouteClearing), 400, "E109", "try again"},
	{"POST", "/route/db", `{"id":"x","type":"NATS"}`, fmt.Errorf("%w: take another name", job.ErrCaseOnly), 400, "E112", "upper from lower case: take another name"},
	{"PUT", "/route/db/r", `{"type":"NATS"}`, fmt.Errorf("%w: it is 7", job.ErrIfMatch), 400, "E023", "bad If-Match: it is 7"}, // see TestETags
	{"DELETE", "/job/db/coll/waiting", ``, job.ErrRevision, 412, "E110", "changed since"},
	{"GET", "/dead/db/1", ``, nil, 400, "E121", "dead letter not found"},
	{"DELETE", "/dead/db/18446744073709551616", ``, nil, 400, "E121", `its sequence is "18446744073709551616"; the number that a list shows`},
	{"POST", "/dead/db/one/redrive", ``, nil, 400, "E121", `its sequence is "one"`},

	{"DELETE", "/token/none", ``, nil, 400, "E131", "token not found"},

	{"GET", "/nowhere", ``, nil, 404, "E201", "no such path; /docs lists those that are served"},
	{"GET", "/job", ``, nil, 404, "E201", "no such path"},
	{"POST", "/job/db", goodJob, nil, 405, "E202", "GET, HEAD are allowed"},
	{"GET", "/job/db/coll/a/b", ``, nil, 404, "E201", "no such path"},
	{"GET", "/route/db/a/b", ``, nil, 404, "E201", "no such path"},
	{"GET", "/jobs/db/coll/a", ``, nil, 404, "E201", "no such path"},
	{"BREW", "/pot", ``, nil, 404, "E201", "no such path"},
	{"PUT", "/job/db/coll", ``, nil, 405, "E202", "GET, HEAD, POST are allowed"},
	{"POST", "/job/db/coll/one", goodJob, nil, 405, "E202", "GET, HEAD, PUT, DELETE are allowed"},
	{"PATCH", "/route/db/a%2Fb", ``, nil, 405, "E202", "GET, HEAD, PUT, DELETE"},
	{"DELETE", "/route/db", ``, nil, 405, "E202", "GET, HEAD, POST"},
	{"GET", "/cancel/db", ``, nil, 405, "E202", "POST is allowed"},
	{"POST", "/healthz", ``, nil, 405, "E202", "GET, HEAD are allowed"},
	{"DELETE", "/dead/db", ``, nil, 405, "E202", "GET, HEAD are allowed"},
	{"PUT", "/dead/db/1", ``, nil, 405, "E202", "GET, HEAD, DELETE are allowed"},
	{"GET", "/job/db/coll/waiting/fire", ``, nil, 405, "E202", "POST is allowed"},
	{"BREW", "/readyz", ``, nil, 405, "E202", "GET, HEAD are allowed"},

	{"GET", "/job/db/coll/waiting", ``, errors.New("secret cause"), 500, "E301", "internal error"},
	{"DELETE", "/route/db/r", ``, job.ErrMoved, 500, "E301", "internal error"},
	{"POST", "/job/db/coll", goodJob, fmt.Errorf("%w: secret cause", job.ErrUnavailable), 503, "E302", "unavailable"},
	{"GET", "/job/db/coll/waiting", ``, context.DeadlineExceeded, 503, "E302", "unavailable"},
	{"PUT", "/route/db/r", `{"type":"NATS"}`, fmt.Errorf("%w: secret cause", job.ErrUnknownOutcome), 503, "E303", "outcome unknown, safe to repeat except where something is made up"},
	{"DELETE", "/job/db/coll/waiting", ``, fmt.Errorf("secret cause: %w", context.DeadlineExceeded), 503, "E303", "outcome unknown, safe to repeat except where something is made up"},
	{"POST", "/route/db", `{"id":"x","type":"NATS"}`, fmt.Errorf("%w: %w", job.ErrUnavailable, context.DeadlineExceeded), 503, "E302", "unavailable"},
	{"POST", "/route/db", `{"id":"x","type":"NATS"}`, fmt.Errorf("%w: %w: too many", job.ErrUnavailable, job.ErrLimit), 409, "E306", "a repeat does not help: too many"},
	{"GET", "/readyz", ``, nil, 503, "E304", "not ready: no timer yet"},
	{"GET", "/job/db/coll/waiting", ``, fmt.Errorf("%w: %w", job.ErrUnavailable, room.ErrFull), 503, "E305", "requests hold too much memory"},

	{"POST", "/token", `{"role":"admin"}`, nil, 403, "E402", "runs with --admin-token"},
}

const goodJob = `{"id":"x","trigger_time":1667659342626,"route":"r"}`

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newStore()
	var fail error
	s.fail = func(context.Context) error { return fail }
	s.backups.fail = s.fail
	for id, typ := range map[string]job.RouteType{"r": job.REST, "n": job.NATS} {
		key := job.RouteKey{DB: "db", ID: id}
		s.routes[key] = job.Route{RouteKey: key, Type: typ}
	}
	for id, status := range map[string]job.Status{"waiting": job.Scheduled, "firing": job.Firing, "done": job.Delivered} {
		key := job.Key{DB: "db", Collection: "coll", ID: id}
		s.jobs[key] = job.Record{
			Arming: job.Arming{Job: job.Job{Key: key, Trigger: trigger.UnixMilli(), Meta: []byte("null"), Route: "r"}},
			Status: status,
		}
	}
	cfg := config(s)
	cfg.Ready = func(context.Context) error { return errors.New("no timer yet") }
	srv := server(t, cfg)
	unseen := map[string]bool{}
	for _, row := range api.ErrorTable() {
		// auth_test.go and origin_test.go test those.
		if row.Status != 401 && !slices.Contains([]string{"E403", "E411", "E412", "E429"}, row.Code) {
			unseen[row.Code] = true
		}
	}
	for _, tt := range refusals {
		request := fmt.Sprintf("%s %.80s %.80s", tt.method, tt.path, tt.body)
		fail = tt.fail
		got := do(t, srv, tt.method, tt.path, tt.body)
		var refused map[string]string
		if err := json.Unmarshal([]byte(got.body), &refused); err != nil || len(refused) != 2 {
			t.Errorf("%s: got %s, want only error and code (%v)", request, got.body, err)
		}
		if got.status != tt.status || refused["code"] != tt.code || !strings.Contains(refused["error"], tt.says) {
			t.Errorf("%s:\n got %d %s\nwant %d %s, and %q in the reason", request, got.status, got.body, tt.status, tt.code, tt.says)
		}
		if got.status >= 500 && strings.Contains(got.body, "secret") {
			t.Errorf("%s: the answer tells the cause: %s", request, got.body)
		}
		wantRetry := map[bool]string{true: "1"}[tt.status == 503]
		if retry := got.header.Get("Retry-After"); retry != wantRetry {
			t.Errorf("%s: Retry-After: got %q, want %q", request, retry, wantRetry)
		}
		if allow := got.header.Get("Allow"); (allow != "") != (tt.status == 405) || !strings.Contains(refused["error"], allow) {
			t.Errorf("%s: status %d with Allow %q and %s", request, got.status, allow, got.body)
		}
		delete(unseen, tt.code)
	}
	for code := range unseen {
		t.Errorf("no request is refused with %s", code)
	}
}

func TestErrorTable(t *testing.T) {
	t.Parallel()
	markdown := api.ErrorMarkdown()
	last := ""
	for _, row := range api.ErrorTable() {
		if row.Code <= last {
			t.Errorf("%s stands after %s", row.Code, last)
		}
		last = row.Code
		if row.Err == nil || !strings.HasSuffix(row.Meaning, ".") {
			t.Errorf("%s: got error %v and meaning %q, want an error and a sentence", row.Code, row.Err, row.Meaning)
		}
		if want := fmt.Sprintf("\n| `%s` | %d | %s |\n", row.Code, row.Status, row.Meaning); !strings.Contains(markdown, want) {
			t.Errorf("ErrorMarkdown lacks %q:\n%s", want, markdown)
		}
	}
}
