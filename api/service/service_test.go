package service_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"belfry/api"
	"belfry/api/service"
	"belfry/internal/job"
	"belfry/internal/metrics/metricstest"
	"belfry/streams/wire"
)

func TestLifeOverNATS(t *testing.T) {
	t.Parallel()
	s := start(t, api.Operations{}, nil)
	const (
		first  = `{"id":"a b","trigger_time":4102444800000,"meta":{ "a" : "<é>" },"route":"r"`
		second = `{"id":"a b","trigger_time":4102444800001,"meta":[1],"route":"r"`
		state  = `,"db":"games","collection":"c.1","status":"scheduled","attempt":0`
	)
	s.expect(t, "belfry.route.create.games", `{"id":"r","type":"NATS"}`, ok)
	s.expect(t, "belfry.route.get.games", `{"id":"r"}`, `{"id":"r","type":"NATS","stream":"FIRES","subject":"fires.games.r","consumer":"games_r"}`)
	s.expect(t, "belfry.route.update.games", `{"id":"r","type":"NATS","max_deliver":7}`, ok)
	s.expect(t, "belfry.route.pause.games", `{"id":"r","paused_until":4102444800000}`, ok)
	s.expect(t, "belfry.route.pause.games", `{"id":"r"}`, ok)
	s.expect(t, "belfry.route.list.games", "",
		`{"routes":[{"id":"r","type":"NATS","max_deliver":7,"paused":true,"stream":"FIRES","subject":"fires.games.r","consumer":"games_r"}]}`)
	s.expect(t, "belfry.route.resume.games", `{"id":"r"}`, ok)

	s.expect(t, "belfry.job.create.games.c=2E1", first+"}", ok)
	s.expect(t, "belfry.job.create.games.c=2E1", first+"}", ok) // again
	s.expect(t, "belfry.job.get.games.c=2E1", `{"id":"a b"}`, first+state+"}")
	s.expect(t, "belfry.job.update.games.c=2E1", second+"}", ok)
	s.expect(t, "belfry.job.get.games.c=2E1", `{"id":"a b"}`, second+state+"}")
	listed := `{"jobs":[{"id":"a b","trigger_time":4102444800001,"route":"r"` + state + `}]}`
	s.expect(t, "belfry.job.list.games.c=2E1", "", listed)
	s.expect(t, "belfry.job.list.games", `{"route":"r","limit":1000}`, listed)
	s.expect(t, "belfry.job.list.games", `{"status":"dead"}`, `{"jobs":[]}`)
	s.expect(t, "belfry.job.list.other", "", `{"jobs":[]}`)
	s.expect(t, "belfry.job.delete.games.c=2E1", `{"id":"a b"}`, ok)

	s.expect(t, "belfry.job.create.games.c=2E1", `{"id":"now","trigger_time":4102444800000,"route":"r"}`, ok)
	s.expect(t, "belfry.job.fire.games.c=2E1", `{"id":"now"}`, ok)
	s.expect(t, "belfry.route.delete.games", `{"id":"r"}`, ok)
}

// The answers are the same as REST's, revisions and refusals included.
func TestLikeREST(t *testing.T) {
	t.Parallel()
	s := start(t, api.Operations{}, nil)
	ops := s.cfg.Operations
	srv := httptest.NewServer(api.New(api.Config{Operations: ops, Tokens: noTokens{}, Letters: struct{ api.Letters }{}, Log: s.cfg.Log}))
	t.Cleanup(srv.Close)
	s.expect(t, "belfry.route.create.games", `{"id":"r","type":"NATS"}`, ok)
	s.expect(t, "belfry.job.create.games.c", newJob(1), ok)

	for _, tt := range []struct{ subject, body, method, path, restBody string }{
		{"job.get.games.c", `{"id":"1"}`, "GET", "/job/games/c/1", ""},
		{"job.get.games.c", `{"id":"none"}`, "GET", "/job/games/c/none", ""},
		{"job.get.games.c", `{"id":"é \r\nX: y\u0000"}`, "GET", "/job/games/c/%C3%A9%20%0D%0AX:%20y%00", ""},
		{"route.get.games", `{"id":"r"}`, "GET", "/route/games/r", ""},
		{"route.get.games", `{"id":"none"}`, "GET", "/route/games/none", ""},
		{"job.list.games", `{"limit":1}`, "GET", "/job/games?limit=1", ""},
		{"job.list.games.c", `{"limit":5000}`, "GET", "/job/games/c?limit=5000", ""},
		{"route.list.games", `{"limit":1}`, "GET", "/route/games?limit=1", ""},
		{"job.create.games.c", `{"id":"1"`, "POST", "/job/games/c", `{"id":"1"`},
		{"job.create.games.c", `{"id":"1","trigger_time":1}`, "POST", "/job/games/c", `{"id":"1","trigger_time":1}`},
		{"job.create.games.c", strings.Repeat(" ", 600<<10), "POST", "/job/games/c", strings.Repeat(" ", 600<<10)},
		{"job.update.games.c", newJob(2), "PUT", "/job/games/c/2", newJob(2)},
		{"route.create.games", `{"id":"r","type":"REST","webhook_url":"x"}`, "POST", "/route/games", `{"id":"r","type":"REST","webhook_url":"x"}`},
		{"route.pause.games", `{"id":"r","paused_until":1}`, "POST", "/route/games/r/pause", `{"paused_until":1}`},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, srv.URL+tt.path, strings.NewReader(tt.restBody))
		if err != nil {
			t.Fatal(err)
		}
		rsp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		if err := rsp.Write(&want); err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(want.String(), "\r\n\r\n")
		body = strings.TrimSuffix(body, "\n")
		got := s.ask(t, "belfry."+tt.subject, tt.body)
		if string(got.Data) != body || got.Header.Get("ETag") != rsp.Header.Get("ETag") {
			t.Errorf("%s %.80s:\n got %s, ETag %q\n%s %s: %s, ETag %q", tt.subject, tt.body, got.Data, got.Header.Get("ETag"),
				tt.method, tt.path, body, rsp.Header.Get("ETag"))
		}
		status := got.Header.Get(micro.ErrorCodeHeader)
		switch {
		case rsp.StatusCode == http.StatusOK:
			if status != "" {
				t.Errorf("%s %.80s: its %s is %q, want none", tt.subject, tt.body, micro.ErrorCodeHeader, status)
			}
		case status != fmt.Sprint(rsp.StatusCode) || !strings.Contains(body, `"code":"E`):
			t.Errorf("%s %.80s: its %s is %q, over REST %d", tt.subject, tt.body, micro.ErrorCodeHeader, status, rsp.StatusCode)
		default:
			var refusal struct{ Error string }
			if err := json.Unmarshal(got.Data, &refusal); err != nil || refusal.Error != got.Header.Get(micro.ErrorHeader) {
				t.Errorf("%s %.80s: its %s is %q, its body %s (%v)", tt.subject, tt.body, micro.ErrorHeader, got.Header.Get(micro.ErrorHeader), got.Data, err)
			}
		}
	}
}

// noTokens is disabled authentication.
type noTokens struct{ api.Tokens }

func (noTokens) InUse() (bool, error) { return false, nil }

func TestIfMatch(t *testing.T) {
	t.Parallel()
	s := start(t, api.Operations{}, nil)
	s.expect(t, "belfry.route.create.games", `{"id":"r","type":"NATS"}`, ok)
	s.expect(t, "belfry.job.create.games.c", newJob(1), ok)
	first := s.ask(t, "belfry.job.get.games.c", `{"id":"1"}`).Header.Get("ETag")
	const later = `{"id":"1","trigger_time":4102444800001,"route":"r"}`
	s.expect(t, "belfry.job.update.games.c", later, ok, "If-Match", first)
	for _, tt := range []struct{ subject, body, tag, code, status string }{
		{"job.update.games.c", newJob(1), first, "E110", "412"},
		{"job.delete.games.c", `{"id":"1"}`, first, "E110", "412"},
		{"job.delete.games.c", `{"id":"1"}`, "4711", "E023", "400"},
		{"route.update.games", `{"id":"r","type":"NATS","max_deliver":3}`, `"999999"`, "E110", "412"},
		{"route.delete.games", `{"id":"r"}`, `"999999"`, "E110", "412"},
	} {
		got := s.ask(t, "belfry."+tt.subject, tt.body, "If-Match", tt.tag)
		if !strings.HasSuffix(string(got.Data), `"code":"`+tt.code+`"}`) || got.Header.Get(micro.ErrorCodeHeader) != tt.status {
			t.Errorf("%s %s If-Match %s: got %s, %v; want %s, %s", tt.subject, tt.body, tt.tag, got.Data, got.Header, tt.code, tt.status)
		}
	}
	route := s.ask(t, "belfry.route.get.games", `{"id":"r"}`).Header.Get("ETag")
	s.expect(t, "belfry.job.delete.games.c", `{"id":"1"}`, ok, "If-Match", s.ask(t, "belfry.job.get.games.c", `{"id":"1"}`).Header.Get("ETag"))
	s.expect(t, "belfry.route.delete.games", `{"id":"r"}`, ok, "If-Match", route)
}

func TestIDsInSubjects(t *testing.T) {
	t.Parallel()
	s := start(t, api.Operations{}, nil)
	for _, id := range []string{"a.b", "*", ">", " ", "a b", "$JS", "é", "☎️", "\x00", "\n", "=", "_x-1", strings.Repeat("é", 100)} {
		token, quoted := wire.Escape(id), quote(t, id)
		s.expect(t, "belfry.route.create."+token, `{"id":`+quoted+`,"type":"NATS"}`, ok)
		s.expect(t, "belfry.job.create."+token+"."+token, `{"id":`+quoted+`,"trigger_time":4102444800000,"route":`+quoted+`}`, ok)
		if _, err := s.cfg.Operations.Jobs.Get(t.Context(), job.Key{DB: id, Collection: id, ID: id}); err != nil {
			t.Errorf("a job of the db and collection %q, made on %s: %v", id, token, err)
		}
	}
	for _, token := range []string{"é", "a=", "a=2", "=61", "=2e", "a$b", strings.Repeat("a", 201), "=FF"} {
		for _, subject := range []string{"belfry.job.list." + token, "belfry.job.list.c." + token} {
			if got := s.ask(t, subject, ""); !strings.HasSuffix(string(got.Data), `"code":"E007"}`) {
				t.Errorf("%s: got %s, want E007", subject, got.Data)
			}
		}
	}
	for _, subject := range []string{"belfry.job.create.db", "belfry.job.get.a.b.c", "belfry.job.sing.a.b", "belfry.job"} {
		if _, err := s.client.Request(subject, nil, patience); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: %v, want that nobody responds", subject, err)
		}
	}
}

func quote(t *testing.T, s string) string {
	t.Helper()
	quoted, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(quoted)
}

// If there are several nodes, one answers each request, and all report about
// themselves.
func TestManyNodes(t *testing.T) {
	t.Parallel()
	m := metricstest.New()
	s := start(t, api.Operations{}, func(c *service.Config) { c.Metrics = m.API })
	s.more(t)
	s.expect(t, "belfry.route.create.games", `{"id":"r","type":"NATS"}`, ok)
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			if got, err := s.client.Request("belfry.job.create.games.c", []byte(newJob(i)), patience); err != nil || string(got.Data) != ok {
				t.Errorf("job %d: %v, %v", i, got, err)
			}
		})
	}
	all.Wait()
	s.ask(t, "belfry.job.get.games.c", `{"id":"none"}`)

	seen := map[string]bool{}
	for _, verb := range []string{"$SRV.PING", "$SRV.INFO", "$SRV.INFO.belfry", "$SRV.STATS"} {
		for _, one := range s.tell(t, verb, 2) {
			seen[one.ID] = true
			if one.Name != "belfry" || one.Version != "1.2.3" {
				t.Errorf("%s: the service is %s %s, want belfry 1.2.3", verb, one.Name, one.Version)
			}
			for _, e := range one.Endpoints {
				if e.QueueGroup != micro.DefaultQueueGroup {
					t.Errorf("%s: %s has the queue group %q", verb, e.Name, e.QueueGroup)
				}
			}
			if verb != "$SRV.PING" && len(one.Endpoints) != 14 {
				t.Errorf("%s: %d endpoints, want 14", verb, len(one.Endpoints))
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("%d nodes told about themselves, want 2", len(seen))
	}
	for deadline := time.Now().Add(patience); ; { // they count after they have answered
		came, answered, refused := 0, 0, 0
		for _, one := range s.tell(t, "$SRV.STATS.belfry", 2) {
			for _, e := range one.Endpoints {
				came += e.NumRequests
				answered += e.Data.NumRequests
				refused += e.Data.NumErrors
				if e.Data.NumErrors > 0 && e.Data.LastError != "E101" || (e.Data.NumRequests > 0) != (e.Data.AverageProcessingTime > 0) {
					t.Errorf("%s: %+v", e.Name, *e.Data)
				}
			}
		}
		if came == 102 && answered == 102 && refused == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d requests came, %d were answered, %d refused; want 102, 102, 1", came, answered, refused)
		}
	}
	for series, want := range map[string]float64{
		`belfry_api_requests_total{method="NATS",path="belfry.job.create.*.*",status="200"}`: 100,
		`belfry_api_requests_total{method="NATS",path="belfry.job.get.*.*",status="400"}`:    1,
		`belfry_api_requests_in_flight`: 0,
	} {
		if got := metricstest.Value(t, m, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
}

// told is a node's report about itself.
type told struct {
	Name, ID, Version string
	Endpoints         []struct {
		Name, Subject string
		QueueGroup    string `json:"queue_group"`
		NumRequests   int    `json:"num_requests"`
		Data          *service.Stats
	}
}

// tell returns the reports of n nodes.
func (s *site) tell(t *testing.T, subject string, n int) (all []told) {
	t.Helper()
	inbox, err := s.client.SubscribeSync(s.client.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	defer inbox.Unsubscribe()
	if err := s.client.PublishRequest(subject, inbox.Subject, nil); err != nil {
		t.Fatal(err)
	}
	for range n {
		got, err := inbox.NextMsg(patience)
		if err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
		var one told
		if err := json.Unmarshal(got.Data, &one); err != nil {
			t.Fatalf("%s: %s: %v", subject, got.Data, err)
		}
		all = append(all, one)
	}
	return all
}

func TestReconnect(t *testing.T) {
	t.Parallel()
	s := start(t, api.Operations{Jobs: jobs{}, Routes: noRoutes{}}, nil)
	s.expect(t, "belfry.route.list.games", "", `{"routes":[]}`)
	s.server.Restart()
	client := s.server.Connect()
	for {
		got, err := client.Request("belfry.route.list.games", nil, patience)
		if errors.Is(err, nats.ErrNoResponders) {
			continue // not back yet
		}
		if err != nil || string(got.Data) != `{"routes":[]}` {
			t.Fatalf("after a restart of the server: %v, %v", got, err)
		}
		return
	}
}

func TestSemantic(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"v1.2.3": "1.2.3", "1.2.3": "1.2.3", "v1.2.3-4-gabc-dirty": "1.2.3-4-gabc-dirty", "v1.2.3-rc.1": "1.2.3-rc.1",
		"v1.2": "0.0.0+v1-2", "v01.2.3": "0.0.0+v01-2-3", "dev": "0.0.0+dev", "393e965": "0.0.0+393e965", "": "0.0.0", "a é": "0.0.0+a--",
	} {
		if got := service.Semantic(version); got != want {
			t.Errorf("the version %q is %q, want %q", version, got, want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	rows := strings.Split(strings.TrimSpace(service.Markdown()), "\n")
	if len(rows) != 2+14 || slices.ContainsFunc(rows, func(row string) bool { return strings.Count(row, "|") != 5 }) {
		t.Errorf("the table is\n%s", service.Markdown())
	}
}
