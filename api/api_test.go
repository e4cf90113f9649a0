package api_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"belfry/internal/job"
)

func TestLifeOfAJob(t *testing.T) {
	t.Parallel()
	s := newStore()
	srv := server(t, config(s))
	const (
		first  = `{"id":"one","trigger_time":1667659342626,"meta":{ "a" : "<é>" },"route":"r"`
		second = `{"id":"one","trigger_time":1667659342627,"meta":[1],"route":"r"`
	)
	expect(t, srv, "POST", "/route/db", `{"id":"r","type":"NATS"}`, 200, ok)
	expect(t, srv, "POST", "/job/db/coll", first+"}", 200, ok)
	expect(t, srv, "POST", "/job/db/coll", first+"}", 200, ok)
	expect(t, srv, "GET", "/job/db/coll/one", "", 200, first+`,"db":"db","collection":"coll","status":"scheduled","attempt":0}`)
	expect(t, srv, "PUT", "/job/db/coll/one", second+"}", 200, ok)
	expect(t, srv, "PUT", "/job/db/coll/one", `{"trigger_time":1667659342627,"meta":[1],"route":"r"}`, 200, ok)
	expect(t, srv, "GET", "/job/db/coll/one?x=%zz", "", 200, second+`,"db":"db","collection":"coll","status":"scheduled","attempt":0}`)
	expect(t, srv, "DELETE", "/job/db/coll/one", "", 200, ok)
	expect(t, srv, "GET", "/job/db/coll/one", "", 200, second+
		fmt.Sprintf(`,"db":"db","collection":"coll","status":"cancelled","attempt":0,"finished_time":%d}`, trigger.UnixMilli()))
}

func TestLifeOfARoute(t *testing.T) {
	t.Parallel()
	srv := server(t, config(newStore()))
	const (
		first  = `{"id":"gameServer","type":"REST","webhook_url":"gameserver-dev-1.myorg.com/timer?action=endgame&x=<1>"}`
		second = `{"id":"gameServer","type":"REST","webhook_url":"http://other"}`
	)
	expect(t, srv, "POST", "/route/db", first, 200, ok)
	expect(t, srv, "GET", "/route/db/gameServer", "", 200, first)
	expect(t, srv, "PUT", "/route/db/gameServer", `{"type":"REST","webhook_url":"http://other"}`, 200, ok)
	expect(t, srv, "GET", "/route/db/gameServer", "", 200, second)
	expect(t, srv, "DELETE", "/route/db/gameServer", "", 200, ok)
	expect(t, srv, "GET", "/route/db/gameServer", "", 400, `{"error":"route not found","code":"E106"}`)

	expect(t, srv, "POST", "/route/db", `{"id":"n","type":"NATS"}`, 200, ok)
	expect(t, srv, "GET", "/route/db/n", "", 200, `{"id":"n","type":"NATS","stream":"FIRES","subject":"fires.x","consumer":"x"}`)
}

func TestMetaGoesThroughByteForByte(t *testing.T) {
	t.Parallel()
	srv := server(t, config(newStore()))
	expect(t, srv, "POST", "/route/db", `{"id":"r","type":"NATS"}`, 200, ok)
	for i, meta := range []string{
		`null`, `""`, `1.0`, `-0`, `1e400`, `123456789012345678901234567890`, "{ \"b\" :\t1,\n\"a\":[ ] }",
		`{"a":1,"a":2}`, `"\u003c</script>&\/"`, `"\ud83d\ude00😀` + "\u2028" + `"`,
		strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		`"` + strings.Repeat("x", 512<<10-2) + `"`,
	} {
		fields := fmt.Sprintf(`{"id":"%d","trigger_time":1667659342626,"meta":%s,"route":"r"`, i, meta)
		expect(t, srv, "POST", "/job/db/coll", fields+"}", 200, ok)
		expect(t, srv, "GET", fmt.Sprintf("/job/db/coll/%d", i), "", 200,
			fields+`,"db":"db","collection":"coll","status":"scheduled","attempt":0}`)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	srv := server(t, config(newStore()))
	expect(t, srv, "GET", "/healthz", "", 200, ok)
	expect(t, srv, "GET", "/readyz", "", 200, ok)

	cfg := config(newStore())
	cfg.Warnings = func() []string { return []string{`damaged: "a"`, "b"} }
	expect(t, server(t, cfg), "GET", "/readyz", "", 200, `{"status":"ok","warnings":["damaged: \"a\"","b"]}`)

	var deadline time.Time
	cfg.Ready = func(ctx context.Context) error {
		deadline, _ = ctx.Deadline()
		return fmt.Errorf("%w: no stream", job.ErrUnavailable)
	}
	var log bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	srv = server(t, cfg)
	expect(t, srv, "GET", "/healthz", "", 200, ok)
	expect(t, srv, "GET", "/readyz", "", 503, `{"error":"not ready: the store is unavailable: no stream","code":"E304"}`)
	if left := time.Until(deadline); left > 2*time.Second {
		t.Errorf("Ready was given %v more, want at most 2 s in all", left)
	}
	if log.Len() > 0 {
		t.Errorf("a probe logged %s", &log)
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	s := newStore()
	srv := server(t, config(s))
	expect(t, srv, "POST", "/route/db", `{"id":"a/b","type":"NATS"}`, 200, ok)
	expect(t, srv, "POST", "/job/db/coll", `{"id":"a/b","trigger_time":1667659342626,"route":"a/b"}`, 200, ok)
	for _, tt := range []struct {
		path   string
		status int
	}{
		{"/job/db/coll/a%2Fb", 200}, {"/job/db/coll/none", 400}, {"/job/db/coll/", 400}, {"/route/db/a%2Fb", 200},
		{"/healthz", 200}, {"/readyz", 200}, {"/nowhere", 404}, {"/dead/db/1/redrive", 405}, {"/job/db", 200}, {"/db", 200},
	} {
		resp, err := srv.Client().Head(srv.URL + tt.path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		want := do(t, srv, "GET", tt.path, "")
		if resp.StatusCode != tt.status || want.status != tt.status || resp.ContentLength != int64(len(want.body)+1) {
			t.Errorf("HEAD %s: status %d and length %d, GET %d and %d; want status %d and the length of GET",
				tt.path, resp.StatusCode, resp.ContentLength, want.status, len(want.body)+1, tt.status)
		}
	}
	s.fail = func(ctx context.Context) error { return context.DeadlineExceeded }
	resp, err := srv.Client().Head(srv.URL + "/job/db/coll/x")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if want := do(t, srv, "GET", "/job/db/coll/x", ""); resp.ContentLength != int64(len(want.body)+1) {
		t.Errorf("HEAD of an unavailable store has the length %d; want that of %s", resp.ContentLength, want.body)
	}
}

func TestFireNow(t *testing.T) {
	t.Parallel()
	s := newStore()
	srv := server(t, config(s))
	expect(t, srv, "POST", "/route/db", `{"id":"r","type":"NATS"}`, 200, ok)
	expect(t, srv, "POST", "/job/db/coll", `{"id":"a/b","trigger_time":4102444800000,"route":"r"}`, 200, ok)
	expect(t, srv, "POST", "/job/db/coll/a%2Fb/fire", "", 200, ok)
	r := s.jobs[job.Key{DB: "db", Collection: "coll", ID: "a/b"}]
	if r.Due != trigger.UnixMilli() || r.Trigger != 4102444800000 {
		t.Errorf("the job is due at %d for %d, want %d for 4102444800000", r.Due, r.Trigger, trigger.UnixMilli())
	}
}
