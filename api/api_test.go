package api_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"belfry/api"
	"belfry/internal/job"
	"belfry/internal/metrics/metricstest"
)

// store is all the stores in memory, with just enough of their rules. fail, when
// set, is called first and its error returned.
type store struct {
	fail func(context.Context) error

	mu       sync.Mutex // guards what follows
	revision uint64
	jobs     map[job.Key]job.Record
	routes   map[job.RouteKey]job.Route
	letters  []job.Letter
	attempts map[job.Key][]job.Attempt
	tokens   map[string]job.Token
	inUse    bool // there was a token
	unknown  bool // the tokens cannot be told yet

	backups backups
}

func newStore() *store {
	return &store{
		fail:   func(context.Context) error { return nil },
		jobs:   map[job.Key]job.Record{},
		routes: map[job.RouteKey]job.Route{},
		tokens: map[string]job.Token{},
	}
}

// with runs f on the store, unless it is to fail.
func (s *store) with(ctx context.Context, f func() error) error {
	if err := s.fail(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return f()
}

type jobs struct{ *store }

func (s jobs) Create(ctx context.Context, j job.Job) error {
	return s.with(ctx, func() error {
		if _, ok := s.routes[j.RouteKey()]; !ok {
			return fmt.Errorf("%w: route is %q; an existing one is accepted", job.ErrRouteNotFound, j.Route)
		}
		if r, ok := s.jobs[j.Key]; ok && !r.SameContent(j) {
			return job.ErrJobExists
		}
		return s.put(job.New(j, "fire"), nil)
	})
}

func (s jobs) Get(ctx context.Context, key job.Key) (r job.Record, err error) {
	err = s.with(ctx, func() (err error) { r, err = s.get(key); return err })
	return r, err
}

func (s jobs) Update(ctx context.Context, j job.Job, expect uint64) error {
	return s.with(ctx, func() error {
		r, err := s.at(j.Key, expect)
		if err == nil {
			r, err = r.Change(j, "fire")
		}
		return s.put(r, err)
	})
}

func (s jobs) Cancel(ctx context.Context, key job.Key, expect uint64) error {
	return s.with(ctx, func() error {
		r, err := s.at(key, expect)
		if err == nil {
			r, err = r.Cancel(trigger)
		}
		return s.put(r, err)
	})
}

func (s jobs) Fire(ctx context.Context, key job.Key) error {
	return s.with(ctx, func() error {
		r, err := s.get(key)
		if err == nil {
			r, err = r.Hasten(trigger)
		}
		return s.put(r, err)
	})
}

func (s jobs) get(key job.Key) (job.Record, error) {
	r, ok := s.jobs[key]
	if !ok {
		return job.Record{}, job.ErrJobNotFound
	}
	return r, nil
}

// at is get of a job that is to be at the revision.
func (s jobs) at(key job.Key, expect uint64) (job.Record, error) {
	r, err := s.get(key)
	if err == nil && expect != 0 && r.Revision != expect {
		err = job.ErrRevision
	}
	return r, err
}

func (s jobs) put(r job.Record, err error) error {
	if err == nil {
		s.revision++
		r.Revision = s.revision
		s.jobs[r.Key] = r
	}
	return err
}

// List goes through the jobs in the order of their revisions.
func (s jobs) List(ctx context.Context, q job.Query) (page job.Page, err error) {
	if q.Limit == 0 {
		q.Limit = job.DefaultJobs
	}
	err = s.with(ctx, func() error {
		all := slices.SortedFunc(maps.Values(s.jobs), func(a, b job.Record) int { return cmp.Compare(a.Revision, b.Revision) })
		for _, r := range all {
			if r.Revision < q.Cursor.Next || !q.Matches(r) {
				continue
			}
			if len(page.Jobs) == q.Limit {
				page.Cursor = job.Cursor{Next: r.Revision}
				break
			}
			page.Jobs = append(page.Jobs, r)
		}
		return nil
	})
	return page, err
}

func (s jobs) CancelEach(ctx context.Context, q job.Query, dry bool) (run job.CancelRun, err error) {
	page, err := s.List(ctx, q)
	run.Cursor = page.Cursor
	for _, r := range page.Jobs {
		switch next, err := r.Cancel(trigger); {
		case r.Status == job.Firing:
			run.Skipped++
		case err == nil:
			run.Cancelled++
			if !dry {
				s.put(next, nil)
			}
		}
	}
	return run, err
}

func (s jobs) Places(ctx context.Context, q job.PlaceQuery) (p job.Places, err error) {
	err = s.with(ctx, func() error {
		counts := map[string]uint64{}
		for k := range s.jobs {
			if q.DB == "" {
				counts[k.DB]++
			} else if q.DB == k.DB {
				counts[k.Collection]++
			}
		}
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			p.Places = append(p.Places, job.Place{Name: name, Jobs: counts[name]})
		}
		if q.Limit > 0 && len(p.Places) > q.Limit {
			p.Places, p.Cursor = p.Places[:q.Limit], job.Cursor{Next: 7, Narrow: true}
		}
		return nil
	})
	return p, err
}

type routes struct{ *store }

func (s routes) Create(ctx context.Context, r job.Route) error {
	return s.with(ctx, func() error {
		old, ok := s.routes[r.RouteKey]
		r, err := r.Over(old)
		if r.Revision = old.Revision; r.Revision == 0 {
			r.Revision = 1
		}
		if err == nil && ok && !old.SameContent(r) {
			err = job.ErrRouteExists
		}
		if err == nil {
			s.routes[r.RouteKey] = r
		}
		return err
	})
}

func (s routes) Get(ctx context.Context, key job.RouteKey) (r job.Route, err error) {
	err = s.with(ctx, func() error {
		var ok bool
		if r, ok = s.routes[key]; !ok {
			return job.ErrRouteNotFound
		}
		r.Subscription = job.Subscription{Stream: "FIRES", Subject: "fires.x", Consumer: "x"}
		return nil
	})
	return r, err
}

func (s routes) Rotate(ctx context.Context, key job.RouteKey, secret string, grace time.Duration) (r job.Route, err error) {
	err = s.with(ctx, func() error {
		old, ok := s.routes[key]
		if !ok {
			return job.ErrRouteNotFound
		}
		if r, err = old.Rotate(secret, grace, trigger); err != nil {
			return err
		}
		s.routes[key] = r
		return nil
	})
	return r, err
}

func (s routes) Pause(ctx context.Context, key job.RouteKey, until int64) error {
	return s.with(ctx, func() error {
		r, ok := s.routes[key]
		if !ok {
			return job.ErrRouteNotFound
		}
		r.Paused, r.PausedUntil = until == 0, until
		s.routes[key] = r
		return nil
	})
}

func (s routes) Resume(ctx context.Context, key job.RouteKey) error {
	return s.with(ctx, func() error {
		r, ok := s.routes[key]
		if !ok {
			return job.ErrRouteNotFound
		}
		r.Paused, r.PausedUntil = false, 0
		s.routes[key] = r
		return nil
	})
}

func (s routes) Replace(ctx context.Context, r job.Route, expect uint64) error {
	return s.with(ctx, func() error {
		old, ok := s.routes[r.RouteKey]
		switch {
		case !ok:
			return job.ErrRouteNotFound
		case old.Type != r.Type:
			return job.ErrRouteTypeFixed
		case expect != 0 && expect != old.Revision:
			return job.ErrRevision
		}
		r, err := r.Over(old)
		if err == nil {
			r.Revision = old.Revision + 1
			s.routes[r.RouteKey] = r
		}
		return err
	})
}

func (s routes) List(ctx context.Context, q job.RouteQuery) (page job.RoutePage, err error) {
	err = s.with(ctx, func() error {
		for _, key := range slices.SortedFunc(maps.Keys(s.routes), func(a, b job.RouteKey) int { return cmp.Compare(a.ID, b.ID) }) {
			if key.DB != q.DB || key.ID <= q.After {
				continue
			}
			if page.More = len(page.Routes) == q.Limit && q.Limit > 0; page.More {
				break
			}
			page.Routes = append(page.Routes, s.routes[key])
		}
		return nil
	})
	return page, err
}

func (s routes) Delete(ctx context.Context, key job.RouteKey, expect uint64) error {
	return s.with(ctx, func() error {
		r, ok := s.routes[key]
		switch {
		case !ok:
			return job.ErrRouteNotFound
		case expect != 0 && expect != r.Revision:
			return job.ErrRevision
		}
		delete(s.routes, key)
		return nil
	})
}

// config is an API over the store, silent.
func config(s *store) api.Config {
	m, log := metricstest.New(), slog.New(slog.DiscardHandler)
	return api.Config{
		Operations: api.Operations{Jobs: jobs{s}, Routes: routes{s}},
		Letters:    letters{s}, Attempts: attempts{s}, Tokens: tokens{s}, Backups: &s.backups,
		Metrics: m.API,
		Scrape:  m.Handler(log),
		Log:     log,
	}
}

// server is a real server over the API.
func server(t *testing.T, cfg api.Config) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(held(t, api.New(cfg)))
	t.Cleanup(srv.Close)
	return srv
}

// answer is a response, read, without the newline at its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request whose path is escaped already.
func do(t *testing.T, srv *httptest.Server, method, path, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return send(t, srv, req)
}

func send(t *testing.T, srv *httptest.Server, req *http.Request) answer {
	t.Helper()
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: reading the answer: %v", req.Method, req.URL, err)
	}
	ct := resp.Header.Get("Content-Type")
	media, _, _ := strings.Cut(ct, ";")
	if resp.StatusCode == http.StatusOK && (media == "application/gzip" || media == "text/plain") { // a backup, metrics
		return answer{resp.StatusCode, resp.Header, string(got)}
	}
	if ct != "application/json" {
		t.Errorf("%s %s: Content-Type: got %q, want application/json", req.Method, req.URL, ct)
	}
	body, ended := strings.CutSuffix(string(got), "\n")
	if !ended {
		t.Errorf("%s %s: the answer %q does not end with a newline", req.Method, req.URL, got)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

// expect sends a request and checks the whole answer.
func expect(t *testing.T, srv *httptest.Server, method, path, body string, status int, want string) {
	t.Helper()
	if got := do(t, srv, method, path, body); got.status != status || got.body != want {
		t.Errorf("%s %s %s:\n got %d %s\nwant %d %s", method, path, body, got.status, got.body, status, want)
	}
}

const ok = `{"status":"ok"}`

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
