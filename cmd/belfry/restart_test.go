package main

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/job"
	"belfry/streams/wire"
)

// A belfry that must stop finishes its work in flight, and the next one goes on with
// the rest: every job arrives once.
func TestStopAndStartAgain(t *testing.T) {
	t.Parallel()
	const n = 600
	data := t.TempDir()
	in := newReceiver(t, func(*http.Request, post) int {
		time.Sleep(20 * time.Millisecond) // so that some are always in flight
		return http.StatusOK
	})
	first := startProgram(t, data)
	in.route(t, first, "r")
	jobs := plannedJobs(n, time.Now().Add(2*time.Second), 2*time.Second)
	first.create(t, jobs, "r")

	in.waitFor(t, n/2)
	if err := first.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	log := first.wait(t)
	if code := exitCode(first.err); code != 0 || strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("after SIGTERM: exit code %d, want 0 and no errors logged:\n%s", code, log)
	}
	for id, posts := range in.jobs() {
		if posts[0].answered.IsZero() {
			t.Errorf("job %s was cut off", id)
		}
	}
	before := len(in.jobs())

	second := startProgram(t, data)
	got := in.waitFor(t, n)
	js := second.jetStream(t)
	settled(t, js, "db_r")
	lateness(t, jobs, got)
	for _, j := range jobs {
		if posts := in.jobs()[j.id]; len(posts) != 1 {
			t.Errorf("job %s arrived %d times, want once", j.id, len(posts))
		}
	}
	checkFires(t, js, jobs)
	t.Logf("stopped after %d of %d jobs", before, n)
}

// A connection that a client opened and never used does not hold up the end.
func TestStopWithAnUnusedConnection(t *testing.T) {
	t.Parallel()
	p := startProgram(t, t.TempDir())
	unused, err := net.Dial("tcp", strings.TrimPrefix(p.ready["api"], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer unused.Close()
	p.must(t, http.MethodGet, "/healthz", "") // by now that one is accepted, too
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if log := p.wait(t); exitCode(p.err) != 0 {
		t.Errorf("after SIGTERM: exit code %d, want 0; log:\n%s", exitCode(p.err), log)
	}
}

// The pending jobs of a deleted route die when they come due, and say so.
func TestRouteDeletedWithPendingJobs(t *testing.T) {
	t.Parallel()
	p := startProgram(t, t.TempDir())
	in := newReceiver(t, nil)
	in.route(t, p, "r")
	p.create(t, []plannedJob{{id: "one", due: time.Now().Add(time.Second), meta: `"bye"`}}, "r")
	p.must(t, http.MethodDelete, "/route/db/r", "")

	dead := p.becomes(t, "/job/db/coll/one", job.Dead)
	if dead.Reason != string(job.ReasonNoRoute) {
		t.Errorf("the job died of %q, want %q", dead.Reason, job.ReasonNoRoute)
	}
	letters := messages(t, p.jetStream(t), "DEAD", "dead.db.r")
	if len(letters) != 1 || letters[0].data != `"bye"` || letters[0].header.Get("Belfry-Reason") != string(job.ReasonNoRoute) {
		t.Errorf("DEAD has %v, want one letter with the meta and the reason %s", letters, job.ReasonNoRoute)
	}
	if got := in.jobs(); len(got) > 0 {
		t.Errorf("the deleted route got %v, want nothing", got)
	}
}

// The delivery after a PUT of a route goes to its new address, retries
// included.
func TestChangedRouteIsFollowed(t *testing.T) {
	t.Parallel()
	p := startProgram(t, t.TempDir())
	before := newReceiver(t, func(*http.Request, post) int { return http.StatusInternalServerError })
	after := newReceiver(t, nil)
	before.route(t, p, "r")
	p.create(t, []plannedJob{{id: "retried", due: time.Now(), meta: `1`}}, "r")
	p.becomes(t, "/job/db/coll/retried", job.Retrying)
	p.must(t, http.MethodPut, "/route/db/r", fmt.Sprintf(`{"type":"REST","webhook_url":%q}`, after.url))
	p.create(t, []plannedJob{{id: "fresh", due: time.Now(), meta: `2`}}, "r")

	got := after.waitFor(t, 2)
	if got["retried"] == nil || got["fresh"] == nil || len(before.jobs()["fresh"]) > 0 {
		t.Errorf("the new address got %v and the old one %v, want both jobs at the new one", got, before.jobs())
	}
}

// Any text except a step in a path is an id. It travels in paths, in subjects and in
// headers.
func TestStrangeIDs(t *testing.T) {
	t.Parallel()
	p := startProgram(t, t.TempDir())
	in := newReceiver(t, nil)
	ids := []string{
		"a/b", "a.b", "...", "*", ">", "$JS.API", "a b", " a ", "%2F", "näxt☎️", "=", "a=2Eb", "_", "a_b", `"\`, "epoch",
		strings.Repeat("é", 100),
	}
	// Each is a database, a collection, a route and a job at once.
	type fired struct{ DB, Collection, JobID, Route, Meta string }
	want := map[string]fired{}
	for i, id := range ids {
		path, quoted := url.PathEscape(id), strconv.Quote(id)
		p.must(t, http.MethodPost, "/route/"+path, fmt.Sprintf(`{"id":%s,"type":"REST","webhook_url":"%s/%d"}`, quoted, in.url, i))
		body := fmt.Sprintf(`{"id":%s,"trigger_time":%d,"meta":%s,"route":%s}`, quoted, time.Now().UnixMilli(), quoted, quoted)
		p.must(t, http.MethodPost, "/job/"+path+"/"+path, body)
		escaped := wire.Escape(id)
		want[escaped] = fired{escaped, escaped, escaped, escaped, quoted}
	}
	got := map[string]fired{}
	for id, posts := range in.waitFor(t, len(ids)) {
		h := posts[0].header
		got[id] = fired{
			h.Get(job.HeaderDB), h.Get(job.HeaderCollection), h.Get(job.HeaderJobID), h.Get(job.HeaderRoute), posts[0].meta,
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers and meta by Belfry-Job-Id (-want +got):\n%s", diff)
	}
	for _, id := range ids {
		path := url.PathEscape(id)
		if r := p.becomes(t, "/job/"+path+"/"+path+"/"+path, job.Delivered); r.ID != id || r.Route != id {
			t.Errorf("GET of %q: id %q and route %q, want the same", id, r.ID, r.Route)
		}
	}
}
