package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"belfry/api"
	"belfry/internal/job"
)

// bulk sends a body to be created and returns the status and the answer.
func bulk(t *testing.T, srv *httptest.Server, body io.Reader) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/bulk/db/coll", body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	want := "application/x-ndjson"
	if resp.StatusCode != 200 {
		want = "application/json"
	}
	if ct := resp.Header.Get("Content-Type"); ct != want {
		t.Errorf("Content-Type of status %d: got %q, want %q", resp.StatusCode, ct, want)
	}
	return resp.StatusCode, string(got)
}

func bulkStore(t *testing.T) *store {
	t.Helper()
	s := newStore()
	key := job.RouteKey{DB: "db", ID: "r"}
	s.routes[key] = job.Route{RouteKey: key, Type: job.NATS}
	return s
}

func TestBulk(t *testing.T) {
	t.Parallel()
	cfg := config(bulkStore(t))
	cfg.Operations.MaxMeta = 1000
	srv := server(t, cfg)
	one := func(id string) string { return fmt.Sprintf(`{"id":"%s","trigger_time":1667659342626,"route":"r"}`, id) }
	created := func(line int, id string) string {
		return fmt.Sprintf(`{"line":%d,"id":"%s","status":"ok"}`+"\n", line, id)
	}
	for _, tt := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"an array", "[" + one("a") + "," + one("b") + "]", 200, created(1, "a") + created(2, "b")},
		{"lines", one("a") + "\n\n" + one("c") + "\n", 200, created(1, "a") + created(3, "c")},
		{"an empty array", "[]", 200, ""},
		{
			"refused lines", one("d") + "\n{\n" + `{"id":"e","trigger_time":1,"route":"r"}` + "\n" + `{"id":"f","trigger_time":1667659342626,"route":"none"}` + "\n" + one("g"), 200,
			created(1, "d") +
				`{"line":2,"error":"the body is not one JSON value: it ends too early","code":"E002"}` + "\n" +
				`{"line":3,"error":"bad trigger_time: 1 looks like seconds; unix milliseconds are accepted, as in 1667659342626","code":"E009"}` + "\n" +
				`{"line":4,"id":"f","error":"route not found: route is \"none\"; an existing one is accepted","code":"E106"}` + "\n" +
				created(5, "g"),
		},
		{
			"a line that is too long", strings.Repeat("x", 18<<10) + "\n" + one("h"), 200,
			`{"line":1,"error":"too large: it has more than 17384 bytes","code":"E012"}` + "\n" + created(2, "h"),
		},
		{
			"an array that breaks", "[" + one("i") + ",", 200,
			created(1, "i") + `{"line":2,"error":"the body is not one JSON value: it ends too early","code":"E002"}` + "\n",
		},
		{"nothing", "", 400, `{"error":"the body is empty; a JSON array or NDJSON is accepted","code":"E001"}` + "\n"},
		{"a broken array", "[}", 400, ""},
	} {
		status, got := bulk(t, srv, strings.NewReader(tt.body))
		if status != tt.status || tt.want != "" && got != tt.want || status == 400 && !strings.Contains(got, `"code":"E0`) {
			t.Errorf("%s: got %d\n%s\nwant %d\n%s", tt.name, status, got, tt.status, tt.want)
		}
	}
}

// slow is a store whose creates wait for a token.
type slow struct {
	jobs
	tokens chan struct{}
	begun  atomic.Int64
	begins chan struct{} // receives each create that begins, while it has room
}

func (s *slow) Create(ctx context.Context, j job.Job) error {
	s.begun.Add(1)
	select {
	case s.begins <- struct{}{}:
	default:
	}
	select {
	case <-s.tokens:
		return s.jobs.Create(ctx, j)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lines is an endless body that counts its lines.
type lines struct{ n atomic.Int64 }

func (l *lines) Read(p []byte) (int, error) {
	line := fmt.Sprintf(`{"id":"%d","trigger_time":1667659342626,"route":"r"}`+"\n", l.n.Add(1))
	if len(line) > len(p) {
		return 0, errors.New("the buffer is too small")
	}
	return copy(p, line), nil
}

// An endless bulk is read only one window ahead of the jobs that are created.
func TestBulkWindow(t *testing.T) {
	t.Parallel()
	s := &slow{jobs: jobs{bulkStore(t)}, tokens: make(chan struct{}), begins: make(chan struct{}, 512)}
	cfg := config(s.store)
	cfg.Operations.Jobs = s
	cfg.Timeout = time.Hour
	srv := server(t, cfg)
	body := &lines{}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	req, err := http.NewRequestWithContext(ctx, "POST", srv.URL+"/bulk/db/coll", body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	const window = 512
	for range window {
		<-s.begins
	}
	if n := s.begun.Load(); n > window+2 {
		t.Errorf("%d jobs are begun with none done, want %d", n, window)
	}
	close(s.tokens)
	in := bufio.NewScanner(resp.Body)
	for n := 1; n < 4*window; n++ {
		if want := fmt.Sprintf(`{"line":%d,"id":"%d","status":"ok"}`, n, n); !in.Scan() || in.Text() != want {
			t.Fatalf("answer %d: got %s (%v), want %s", n, in.Text(), in.Err(), want)
		}
	}
}

// A bulk outlasts the timeouts of the server as long as it moves on, and ends
// when its client sends nothing more.
func TestBulkOutlastsTimeouts(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, serve func(http.Handler) *httptest.Server) {
		srv := serve(api.New(config(bulkStore(t))))
		in, out := io.Pipe()
		begun := time.Now()
		go func() {
			for i := 0; time.Since(begun) < longRequest; i++ {
				fmt.Fprintf(out, `{"id":"%d","trigger_time":1667659342626,"route":"r"}`+"\n", i)
				time.Sleep(20 * time.Millisecond) // the client's pace
			}
			out.Close()
		}()
		status, got := bulk(t, srv, in)
		if n := strings.Count(got, `"status":"ok"}`+"\n"); status != 200 || n < 5 || n != strings.Count(got, "\n") {
			t.Errorf("got %d with %d jobs created in\n%s\nwant all of those sent", status, n, got)
		}
	})
}

func TestBulkTroubleIsLoggedOnce(t *testing.T) {
	t.Parallel()
	s := bulkStore(t)
	s.fail = func(context.Context) error { return fmt.Errorf("%w: secret cause", job.ErrUnavailable) }
	srv := server(t, config(s))
	status, got := bulk(t, srv, strings.NewReader(strings.Repeat(goodJob+"\n", 3)))
	if status != 200 || strings.Count(got, `"id":"x","error":"the store is unavailable","code":"E302"}`) != 3 || strings.Contains(got, "secret") {
		t.Errorf("got %d %s, want three times that the store is unavailable", status, got)
	}
}
