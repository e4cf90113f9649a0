package api_test

import (
	"fmt"
	"testing"

	"belfry/internal/job"
)

func TestLists(t *testing.T) {
	t.Parallel()
	s := newStore()
	srv := server(t, config(s))
	expect(t, srv, "GET", "/job/db", "", 200, `{"jobs":[]}`)
	expect(t, srv, "GET", "/db", "", 200, `{"dbs":[]}`)
	expect(t, srv, "GET", "/db/none", "", 200, `{"collections":[]}`)
	expect(t, srv, "GET", "/route/db", "", 200, `{"routes":[]}`)
	for _, id := range []string{"r", "s"} {
		expect(t, srv, "POST", "/route/db", fmt.Sprintf(`{"id":"%s","type":"REST","webhook_url":"http://x"}`, id), 200, ok)
	}
	for i, coll := range []string{"a", "a", "b"} {
		expect(t, srv, "POST", "/job/db/"+coll, fmt.Sprintf(`{"id":"%d","trigger_time":1667659342626,"meta":"secret","route":"r"}`, i), 200, ok)
	}
	item := func(id int, coll string) string {
		return fmt.Sprintf(`{"id":"%d","trigger_time":1667659342626,"route":"r","db":"db","collection":"%s","status":"scheduled","attempt":0}`, id, coll)
	}
	expect(t, srv, "GET", "/job/db?limit=2", "", 200, `{"jobs":[`+item(0, "a")+","+item(1, "a")+`],"cursor":"0-3-0"}`)
	expect(t, srv, "GET", "/job/db?limit=2&cursor=0-3-0", "", 200, `{"jobs":[`+item(2, "b")+`]}`)
	expect(t, srv, "GET", "/job/db/a?prefix=1&status=scheduled&route=r&due_after=1667659342626&due_before=1667659342627", "", 200, `{"jobs":[`+item(1, "a")+`]}`)
	expect(t, srv, "GET", "/job/db?due_before=1667659342626", "", 200, `{"jobs":[]}`)
	expect(t, srv, "GET", "/db", "", 200, `{"dbs":[{"db":"db","jobs":3,"routes":0}]}`)
	expect(t, srv, "GET", "/db/db", "", 200, `{"collections":[{"collection":"a","jobs":2},{"collection":"b","jobs":1}]}`)
	expect(t, srv, "GET", "/db/db?limit=1", "", 200, `{"collections":[{"collection":"a","jobs":2}],"cursor":"0-7-1"}`)
	expect(t, srv, "GET", "/route/db?limit=1", "", 200, `{"routes":[{"id":"r","type":"REST","webhook_url":"http://x"}],"cursor":"r"}`)
	expect(t, srv, "GET", "/route/db?limit=1&cursor=r", "", 200, `{"routes":[{"id":"s","type":"REST","webhook_url":"http://x"}]}`)
}

func TestCancelByFilter(t *testing.T) {
	t.Parallel()
	s := newStore()
	srv := server(t, config(s))
	expect(t, srv, "POST", "/route/db", `{"id":"r","type":"NATS"}`, 200, ok)
	for i := range 4 {
		expect(t, srv, "POST", "/job/db/coll", fmt.Sprintf(`{"id":"%d","trigger_time":1667659342626,"route":"r"}`, i), 200, ok)
	}
	firing := job.Key{DB: "db", Collection: "coll", ID: "0"}
	r := s.jobs[firing]
	r.Status = job.Firing
	s.jobs[firing] = r
	expect(t, srv, "POST", "/cancel/db", `{"route":"r","dry_run":true}`, 200, `{"would_cancel":3,"skipped":1}`)
	expect(t, srv, "POST", "/cancel/db/coll", `{"route":"r","limit":2}`, 200, `{"cancelled":1,"skipped":1,"cursor":"0-3-0"}`)
	expect(t, srv, "POST", "/cancel/db/coll", `{"all":true,"cursor":"0-3-0"}`, 200, `{"cancelled":2,"skipped":0}`)
}
