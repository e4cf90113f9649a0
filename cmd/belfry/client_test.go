package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"belfry/api/client"
	"belfry/internal/job"
	"belfry/internal/waittest"
)

// answer is what the API said.
type answer struct {
	status int
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// ok reports whether the answer is the 200 of a write.
func (a answer) ok() bool { return a.status == http.StatusOK && a.body == `{"status":"ok"}` }

// tooLate reports whether the answer is the 400 of a change that came after
// the job had begun to fire.
func (a answer) tooLate() bool {
	var refused client.Error
	return a.status == http.StatusBadRequest && json.Unmarshal([]byte(a.body), &refused) == nil &&
		(refused.Code == "E103" || refused.Code == "E104")
}

var apiClient = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}

// do sends one request to the process. It is safe for concurrent use.
func (p *running) do(method, path, body string) (answer, error) {
	return p.doIfMatch(method, path, "", body)
}

// doIfMatch is do with the ETag, if it is not empty.
func (p *running) doIfMatch(method, path, etag, body string) (answer, error) {
	req, err := http.NewRequest(method, p.ready["api"]+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if etag != "" {
		req.Header.Set("If-Match", etag)
	}
	rsp, err := apiClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer rsp.Body.Close()
	got, err := io.ReadAll(rsp.Body)
	return answer{rsp.StatusCode, string(bytes.TrimSpace(got))}, err
}

// insist is [running.do] for a client that obeys Retry-After: it repeats the request
// while the answer is 503, which an overloaded belfry gives, and reports how often.
func (p *running) insist(method, path, body string) (a answer, repeats int, err error) {
	for deadline := time.Now().Add(patience); ; repeats++ {
		a, err = p.do(method, path, body)
		if err != nil || a.status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			return a, repeats, err
		}
		time.Sleep(time.Second) // as Retry-After says
	}
}

// must sends one request that must be answered 200, and returns the body.
func (p *running) must(t *testing.T, method, path, body string) string {
	t.Helper()
	a, _, err := p.insist(method, path, body)
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("%s %s %s: %v (%v), want 200", method, path, body, a, err)
	}
	return a.body
}

func (p *running) get(t *testing.T, path string) client.Job {
	t.Helper()
	body := p.must(t, http.MethodGet, path, "")
	var r client.Job
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("GET %s: %s is not a job: %v", path, body, err)
	}
	return r
}

// becomes waits until the job has the status, and returns it.
func (p *running) becomes(t *testing.T, path string, want job.Status) client.Job {
	t.Helper()
	var r client.Job
	waittest.Eventually(t, func() string {
		if r = p.get(t, path); r.Status != client.Status(want) {
			return fmt.Sprintf("GET %s: status is %q, want %q", path, r.Status, want)
		}
		return ""
	})
	return r
}

// freePorts returns a configuration for a test's own server.
func freePorts(t *testing.T) Config {
	t.Helper()
	return Config{Listen: "127.0.0.1:0", NATSListen: ":0", Data: filepath.Join(t.TempDir(), "data")}
}

func newServer(cfg Config) *Server { return New(cfg, slog.New(slog.DiscardHandler)) }

// startServer runs a server until the test ends.
func startServer(t *testing.T, cfg Config) *Server {
	t.Helper()
	s := newServer(cfg)
	if err := s.Start(t.Context()); err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
	return s
}

// call sends one request to the API of a server in this process.
func call(t *testing.T, s *Server, method, path, body string, change ...func(*http.Request)) (int, string) {
	t.Helper()
	return request(t, method, "http://"+s.Addr()+path, body, change...)
}

// request sends one request, as changed, and returns the status and the body.
func request(t *testing.T, method, url, body string, change ...func(*http.Request)) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range change {
		change(req)
	}
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer rsp.Body.Close()
	got, err := io.ReadAll(rsp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return rsp.StatusCode, strings.TrimSpace(string(got))
}

// at returns the environment of a command for a server.
func (p *running) at() map[string]string { return map[string]string{"BELFRY_SERVER": p.ready["api"]} }

// walk visits a list of jobs page by page.
func (p *running) walk(t *testing.T, path string, visit func(page int, ids []string)) {
	t.Helper()
	for query, n := path, 0; ; n++ {
		var page client.Jobs
		p.answer(t, http.MethodGet, query, "", &page)
		var ids []string
		for _, j := range page.Jobs {
			ids = append(ids, j.ID)
		}
		visit(n, ids)
		if page.Cursor == "" {
			return
		}
		query = path + "&cursor=" + page.Cursor
	}
}

// answer reads the answer to a request that must succeed.
func (p *running) answer(t *testing.T, method, path, body string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(p.must(t, method, path, body)), into); err != nil {
		t.Fatal(err)
	}
}
