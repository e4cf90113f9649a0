package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/api/client"
	"belfry/internal/job"
	"belfry/internal/waittest"
	"belfry/streams/wire"
)

// limitMeta is what --max-meta is in these tests.
const limitMeta = 64 << 10

// atLimit is a meta as deep and as long as is accepted, with characters that are hard to
// write on a line.
func atLimit() string { return metaOf(job.MaxMetaDepth, limitMeta) }

func metaOf(depth, size int) string {
	head := strings.Repeat("[", depth) + "\n\t\"\\\"" + "\u2028"
	tail := `"` + strings.Repeat("]", depth)
	return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
}

// longName is an id of the greatest length, of the characters that take the most
// room wherever it is written.
func longName(s string) string { return s + strings.Repeat("\x01", job.MaxIDBytes-len(s)) }

func quoted(s string) string {
	q, _ := json.Marshal(s) // a string always has a form
	return string(q)
}

// limits is a running belfry with what a job needs.
type limits struct {
	*running
	sh             *shell
	js             jetstream.JetStream
	db, collection string
}

func (l limits) job(id, meta, route string, due time.Time) string {
	return fmt.Sprintf(`{"id":%s,"trigger_time":%d,"meta":%s,"route":%s}`, quoted(id), due.UnixMilli(), meta, quoted(route))
}

func (l limits) path(segments ...string) string { return client.Path(segments...) }

// wayIn makes a job, and returns why it was refused.
type wayIn struct {
	name string
	do   func(t *testing.T, id, meta, route string, due time.Time) (refused string)
}

// waysIn are all the ways in which a job can come.
func (l limits) waysIn() []wayIn {
	rest := func(method string, under ...string) func(t *testing.T, body string) string {
		return func(t *testing.T, body string) string {
			t.Helper()
			a, _, err := l.insist(method, l.path(under...), body)
			switch {
			case err != nil:
				t.Fatal(err)
			case a.status != http.StatusOK || strings.Contains(a.body, `"error"`):
				return a.body
			}
			return ""
		}
	}
	cli := func(t *testing.T, stdin string, args ...string) string {
		t.Helper()
		_, stderr, err := l.sh.run(t, stdin, args...)
		if err != nil {
			return stderr + err.Error()
		}
		return ""
	}
	return []wayIn{
		{"POST", func(t *testing.T, id, meta, route string, due time.Time) string {
			return rest(http.MethodPost, "job", l.db, l.collection)(t, l.job(id, meta, route, due))
		}},
		{"PUT", func(t *testing.T, id, meta, route string, due time.Time) string {
			if refused := rest(http.MethodPost, "job", l.db, l.collection)(t, l.job(id, "1", route, due.Add(time.Hour))); refused != "" {
				return refused
			}
			return rest(http.MethodPut, "job", l.db, l.collection, id)(t, l.job(id, meta, route, due))
		}},
		{"bulk, an array", func(t *testing.T, id, meta, route string, due time.Time) string {
			return rest(http.MethodPost, "bulk", l.db, l.collection)(t, "["+l.job(id, meta, route, due)+"]")
		}},
		{"bulk, lines", func(t *testing.T, id, meta, route string, due time.Time) string {
			return rest(http.MethodPost, "bulk", l.db, l.collection)(t, strings.ReplaceAll(l.job(id, meta, route, due), "\n", " "))
		}},
		{"NATS", func(t *testing.T, id, meta, route string, due time.Time) string {
			got := asked(t, l.js.Conn(), "belfry.job.create."+wire.Escape(l.db)+"."+wire.Escape(l.collection), l.job(id, meta, route, due))
			if got == `{"status":"ok"}` {
				return ""
			}
			return got
		}},
		{"nats kv put", func(t *testing.T, id, meta, route string, due time.Time) string {
			kv, err := l.js.KeyValue(t.Context(), "jobs_0")
			if err != nil {
				t.Fatal(err)
			}
			key := wire.Escape(l.db) + "." + wire.Escape(l.collection) + "." + wire.Escape(id)
			if _, err := kv.PutString(t.Context(), key, l.job(id, meta, route, due)); err != nil {
				t.Fatal(err)
			}
			a, _, err := l.insist(http.MethodGet, l.path("job", l.db, l.collection, id), "")
			switch {
			case err != nil:
				t.Fatal(err)
			case a.status != http.StatusOK:
				return a.body
			}
			return ""
		}},
		{"belfry job add", func(t *testing.T, id, meta, route string, due time.Time) string {
			return cli(t, meta, "job", "add", l.db, l.collection, id, "--data", "-", "--route", route, "--at", strconv.FormatInt(due.UnixMilli(), 10))
		}},
		{"belfry job import", func(t *testing.T, id, meta, route string, due time.Time) string {
			return cli(t, "["+l.job(id, meta, route, due)+"]", "job", "import", l.db, l.collection, "-")
		}},
	}
}

func startLimits(t *testing.T) limits {
	p := startProgram(t, t.TempDir(), "--max-meta", strconv.Itoa(limitMeta))
	return limits{p, newShell(p.at()), p.jetStream(t), longName("db"), longName("coll")}
}

// A job at every limit at once comes in and comes out by every way, byte for byte; a job
// one beyond a limit is refused by every way.
func TestWhatGetsInGetsOut(t *testing.T) {
	t.Parallel()
	plays(t)
	l := startLimits(t)
	hook, turns := longName("hook"), longName("turns")
	var open atomic.Bool // else each webhook is answered with 410
	in := newReceiver(t, func(*http.Request, post) int {
		if open.Load() {
			return http.StatusOK
		}
		return http.StatusGone
	})
	l.must(t, http.MethodPost, l.path("route", l.db), l.longestRoute(t, hook, in.url))
	l.must(t, http.MethodPost, l.path("route", l.db), `{"id":`+quoted(turns)+`,"type":"NATS"}`)

	meta := atLimit()
	want := map[string]string{} // by id
	for i, way := range l.waysIn() {
		for _, beyond := range []string{metaOf(job.MaxMetaDepth+1, limitMeta), metaOf(10, limitMeta+1)} {
			refused := way.do(t, longName(fmt.Sprint("beyond ", i, len(beyond))), beyond, hook, time.Now().Add(time.Hour))
			if !strings.Contains(refused, "5001 deep") && !strings.Contains(refused, "meta has 65537 bytes") {
				t.Errorf("%s of a meta beyond the limit: %.300q, want a refusal with the number", way.name, refused)
			}
		}
		kept := meta
		if way.name == "bulk, lines" {
			kept = strings.ReplaceAll(meta, "\n", " ")
		}
		for route, due := range map[string]time.Time{hook: time.Now(), turns: time.Now(), "later": time.Now().Add(time.Hour)} {
			id := longName(fmt.Sprint(i, " ", strings.TrimRight(route, "\x01")))
			to := route
			if route == "later" {
				to = hook
			}
			if refused := way.do(t, id, kept, to, due); refused != "" {
				t.Fatalf("%s at the limit: %.300s", way.name, refused)
			}
			want[id] = kept
		}
	}
	n := len(l.waysIn())

	// The subscriber, and the webhook, which refuses all.
	c, err := l.js.Consumer(t.Context(), "FIRES", l.consumer(t, turns))
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		m, err := c.Next(jetstream.FetchMaxWait(patience))
		if err != nil {
			t.Fatalf("the fire of a NATS route: %v", err)
		}
		id, _ := wire.Unescape(m.Headers().Get(job.HeaderJobID))
		if string(m.Data()) != want[id] {
			t.Errorf("the fire of %q has a meta of %d bytes, want %d", id, len(m.Data()), len(want[id]))
		}
	}
	for escaped, posts := range in.waitFor(t, n) {
		id, _ := wire.Unescape(escaped)
		if posts[0].meta != want[id] || len(want[id]) == 0 {
			t.Errorf("the webhook of %q has a meta of %d bytes, want %d", id, len(posts[0].meta), len(want[id]))
		}
		l.becomes(t, l.path("job", l.db, l.collection, id), job.Dead)
	}
	l.shows(t, want)
	l.restores(t, want, hook)

	open.Store(true)
	if got := l.must(t, http.MethodPost, l.path("dead", l.db, "redrive"), `{"all":true}`); !strings.Contains(got, fmt.Sprintf(`"redriven":%d`, n)) {
		t.Errorf("redriving: %.300s", got)
	}
	for escaped := range in.jobs() {
		id, _ := wire.Unescape(escaped)
		l.becomes(t, l.path("job", l.db, l.collection, id), job.Delivered)
	}
	for escaped, posts := range in.jobs() {
		id, _ := wire.Unescape(escaped)
		if last := posts[len(posts)-1]; len(posts) != 2 || last.meta != want[id] {
			t.Errorf("the redriven webhook of %q: %d posts, a meta of %d bytes; want 2 and %d", id, len(posts), len(last.meta), len(want[id]))
		}
	}
}

// longestRoute is a route as long as is accepted, with as many headers as are.
func (l limits) longestRoute(t *testing.T, id, url string) string {
	t.Helper()
	var headers []string
	for i := range 32 {
		value := "x"
		if i < 3 {
			value = strings.Repeat("v", 4096)
		}
		headers = append(headers, fmt.Sprintf(`"X-%d":"%s"`, i, value))
	}
	head := fmt.Sprintf(`{"id":%s,"type":"REST","webhook_url":"%s/`, quoted(id), url)
	tail := `","headers":{` + strings.Join(headers, ",") + `}}`
	body := head + strings.Repeat("p", job.MaxRouteBytes-len(head)-len(tail)) + tail
	path := l.path("route", l.db)
	if a, err := l.do(http.MethodPost, path, strings.Replace(body, "pp", "ppp", 1)); err != nil || a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a route of %d bytes: %.200v, %v; want 413", len(body)+1, a, err)
	}
	return body
}

func (l limits) consumer(t *testing.T, route string) string {
	t.Helper()
	var sub client.Route
	l.answer(t, http.MethodGet, l.path("route", l.db, route), "", &sub)
	return sub.Consumer
}

// shows looks at each job and dead letter over REST, NATS and the command line.
func (l limits) shows(t *testing.T, want map[string]string) {
	t.Helper()
	shown := func(what, answer, meta string) {
		t.Helper()
		if !strings.Contains(answer, `"meta":`+meta) {
			t.Errorf("%s: %.200s of %d bytes, want the meta of %d in it", what, answer, len(answer), len(meta))
		}
	}
	// The command line prints on one line what it gets.
	printed := func(what string, out, meta string) {
		t.Helper()
		var a, b any
		if err := json.Unmarshal([]byte(meta), &a); err != nil {
			t.Fatal(err)
		}
		var j struct{ Meta any }
		if err := json.Unmarshal([]byte(out), &j); err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		if b = j.Meta; fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%s: another meta", what)
		}
	}
	for id, meta := range want {
		answer := l.must(t, http.MethodGet, l.path("job", l.db, l.collection, id), "")
		shown("GET", answer, meta)
		got := asked(t, l.js.Conn(), "belfry.job.get."+wire.Escape(l.db)+"."+wire.Escape(l.collection), `{"id":`+quoted(id)+`}`)
		shown("NATS", got, meta)
		printed("belfry job get", l.sh.must(t, "job", "get", l.db, l.collection, id, "--json"), meta)
		l.sh.must(t, "job", "get", l.db, l.collection, id)
		l.must(t, http.MethodGet, l.path("job", l.db, l.collection, id)+"/attempts", "")
		// The answer of a GET can be PUT, until it is too late.
		if a, err := l.do(http.MethodPut, l.path("job", l.db, l.collection, id), answer); err != nil || a.status != http.StatusOK && !a.tooLate() {
			t.Errorf("PUT of the answer to a GET: %.300v, %v", a, err)
		}
		if strings.Contains(id, "later") {
			l.sh.must(t, "job", "edit", l.db, l.collection, id, "--in", "2h")
		}
	}
	ids := map[string]bool{}
	for line := range strings.Lines(l.sh.must(t, "job", "ls", l.db, "--json")) {
		var j client.ListedJob
		if err := json.Unmarshal([]byte(line), &j); err != nil {
			t.Fatal(err)
		}
		ids[j.ID] = true
	}
	for id := range want {
		if !ids[id] {
			t.Errorf("the list lacks %q", id)
		}
	}
	if got := asked(t, l.js.Conn(), "belfry.job.list."+wire.Escape(l.db), `{}`); strings.Contains(got, `"error"`) {
		t.Errorf("the list over NATS: %.300s", got)
	}
	var letters client.Letters
	l.answer(t, http.MethodGet, l.path("dead", l.db), "", &letters)
	if len(letters.Dead) != len(l.waysIn()) {
		t.Errorf("%d dead letters, want %d", len(letters.Dead), len(l.waysIn()))
	}
	for _, letter := range letters.Dead {
		number := strconv.FormatUint(letter.Sequence, 10)
		shown("a dead letter", l.must(t, http.MethodGet, l.path("dead", l.db, number), ""), want[letter.ID])
		printed("belfry dead show", l.sh.must(t, "dead", "show", l.db, number, "--json"), want[letter.ID])
	}
	for _, route := range []string{longName("hook"), longName("turns")} {
		answer := l.must(t, http.MethodGet, l.path("route", l.db, route), "")
		l.must(t, http.MethodPut, l.path("route", l.db, route), answer)
		l.sh.must(t, "route", "get", l.db, route)
	}
	l.sh.must(t, "route", "ls", l.db)
	l.sh.must(t, "route", "edit", l.db, longName("hook"), "--header", "X-3: y")
}

// restores makes a backup and brings it back into another belfry.
func (l limits) restores(t *testing.T, want map[string]string, route string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "backup")
	l.sh.must(t, "backup", name)
	other := limits{running: startProgram(t, t.TempDir(), "--max-meta", strconv.Itoa(limitMeta)), db: l.db, collection: l.collection}
	other.sh, other.js = newShell(other.at()), other.jetStream(t)
	if got := other.sh.must(t, "restore", name); !strings.Contains(got, fmt.Sprintf("restored %d jobs", len(want)+2)) { // two are what a PUT beyond the limit was to change
		t.Errorf("belfry restore: %s, want %d jobs", got, len(want)+2)
	}
	for id, meta := range want {
		waittest.Eventually(t, func() string {
			if got := other.must(t, http.MethodGet, other.path("job", l.db, l.collection, id), ""); !strings.Contains(got, `"meta":`+meta) {
				return fmt.Sprintf("the restored job %q has another meta", id)
			}
			return ""
		})
	}
	if a, b := l.must(t, http.MethodGet, l.path("route", l.db, route), ""), other.must(t, http.MethodGet, l.path("route", l.db, route), ""); a != b {
		t.Errorf("the restored route is %.300s, want %.300s", b, a)
	}
	other.sh.must(t, "backup", filepath.Join(t.TempDir(), "again"))
}

func openFile(t *testing.T, name string) io.Reader {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
