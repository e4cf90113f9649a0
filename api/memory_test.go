package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"belfry/api"
	"belfry/internal/job"
	"belfry/internal/room"
	"belfry/internal/waittest"
)

// mostHeld remembers how much a pool held at most.
type mostHeld struct{ bytes atomic.Int64 }

func (m *mostHeld) Holds(bytes int64) {
	for {
		most := m.bytes.Load()
		if bytes <= most || m.bytes.CompareAndSwap(most, bytes) {
			return
		}
	}
}
func (*mostHeld) Waits(string)   {}
func (*mostHeld) Refuses(string) {}

// memoryOf returns the configuration with room for the given number of bytes.
func memoryOf(s *store, bytes int64) (api.Config, *mostHeld) {
	cfg := config(s)
	most := &mostHeld{}
	cfg.Memory = room.New(room.Config{Bytes: bytes, Patience: 50 * time.Millisecond, Watch: most})
	return cfg, most
}

// dial returns a connection that only the test reads.
func dial(t *testing.T, srv *httptest.Server, request string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn
}

func status(t *testing.T, srv *httptest.Server, method, path, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	rsp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	if _, err := io.Copy(io.Discard, rsp.Body); err != nil {
		t.Fatal(err)
	}
	return rsp.StatusCode
}

// largeJobs puts a job with a meta of 400 KiB into each of the dbs.
func largeJobs(s *store, dbs ...string) {
	for _, db := range dbs {
		key := job.Key{DB: db, Collection: "coll", ID: "large"}
		r := job.New(job.Job{Key: key, Trigger: 1667659342626, Meta: []byte(`"` + strings.Repeat("x", 400<<10) + `"`), Route: "r"}, "fire")
		s.jobs[key] = r
	}
}

// An answer is held until its client has taken it. Unread answers of one db make only
// that db's clients wait.
func TestAnswersThatNobodyReadsAreBounded(t *testing.T) {
	t.Parallel()
	s := bulkStore(t)
	largeJobs(s, "db", "other")
	cfg, most := memoryOf(s, 8<<20)
	srv := unheld(t, cfg)
	const get = "GET /job/db/coll/large HTTP/1.1\r\nHost: localhost\r\n\r\n"
	var conns []net.Conn
	for range 50 {
		conns = append(conns, dial(t, srv, strings.Repeat(get, 30)))
	}
	// Answers may still go into the buffers of the connections after the first refusal.
	waittest.Eventually(t, func() string {
		got := do(t, srv, "GET", "/job/db/coll/large", "")
		switch {
		case got.status == http.StatusOK:
			return "the db has room for another answer"
		case got.status != http.StatusServiceUnavailable || got.body != `{"error":"requests hold too much memory","code":"E305"}`:
			t.Fatalf("got %d %s, want 503 and E305", got.status, got.body)
		}
		return ""
	})
	for range 3 {
		if got := status(t, srv, "GET", "/job/other/coll/large", ""); got != http.StatusOK {
			t.Errorf("the other db answers %d, want 200", got)
		}
	}
	if got := status(t, srv, "GET", "/openapi.json", ""); got != http.StatusOK {
		t.Errorf("the description is answered %d, want 200", got)
	}
	if most := most.bytes.Load(); most > 8<<20 {
		t.Errorf("%d bytes were held at most, want %d", most, 8<<20)
	}
	for _, c := range conns {
		c.Close()
	}
	waittest.Eventually(t, func() string {
		if held := cfg.Memory.Held(); held != 0 {
			return fmt.Sprintf("%d bytes are held though all clients have left", held)
		}
		return ""
	})
	if got := status(t, srv, "GET", "/job/db/coll/large", ""); got != http.StatusOK {
		t.Errorf("the db answers %d in the end, want 200", got)
	}
}

// Room for a body is taken before it is read.
func TestBodiesThatDoNotComeAreBounded(t *testing.T) {
	t.Parallel()
	s := bulkStore(t)
	s.routes[job.RouteKey{DB: "other", ID: "r"}] = job.Route{RouteKey: job.RouteKey{DB: "other", ID: "r"}, Type: job.NATS}
	cfg, _ := memoryOf(s, 4<<20)
	srv := server(t, cfg)
	large := `{"id":"x","trigger_time":1667659342626,"route":"r","meta":"` + strings.Repeat("x", 300<<10) + `"}`
	var conns []net.Conn
	for range 8 {
		conns = append(conns, dial(t, srv, fmt.Sprintf("POST /job/db/coll HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n{", len(large))))
	}
	waittest.Eventually(t, func() string {
		if held := cfg.Memory.Held(); held < 1<<20 {
			return fmt.Sprintf("%d bytes are held", held)
		}
		return ""
	})
	if got := status(t, srv, "POST", "/job/db/coll", large); got != http.StatusServiceUnavailable {
		t.Errorf("another large job is answered %d, want 503", got)
	}
	if got := status(t, srv, "POST", "/job/db/coll", `{"id":"small","trigger_time":1667659342626,"route":"r"}`); got != http.StatusOK {
		t.Errorf("a small job is answered %d, want 200", got)
	}
	if got := status(t, srv, "POST", "/job/other/coll", large); got != http.StatusOK {
		t.Errorf("a large job of another db is answered %d, want 200", got)
	}
	for _, c := range conns {
		c.Close()
	}
	waittest.Eventually(t, func() string {
		if held := cfg.Memory.Held(); held != 0 {
			return fmt.Sprintf("%d bytes are held in the end", held)
		}
		return ""
	})
}

// A body that does not declare its length is still read completely.
func TestBodiesOfUnknownLengthAreHeld(t *testing.T) {
	t.Parallel()
	s := bulkStore(t)
	cfg, most := memoryOf(s, 8<<20)
	srv := server(t, cfg)
	for _, n := range []int{10, api.MaxBody - 100, api.MaxBody, api.MaxBody + 1, 300 << 10} {
		body := fmt.Sprintf(`{"id":"n%d","trigger_time":1667659342626,"route":"r","meta":"%s"}`, n, strings.Repeat("x", n))
		req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/job/db/coll", io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		rsp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		rsp.Body.Close()
		if got := len(s.jobs[job.Key{DB: "db", Collection: "coll", ID: fmt.Sprintf("n%d", n)}].Meta); rsp.StatusCode != 200 || got != n+2 {
			t.Errorf("a meta of %d bytes is answered %d and has %d", n+2, rsp.StatusCode, got)
		}
	}
	if most.bytes.Load() == 0 || cfg.Memory.Held() != 0 {
		t.Errorf("%d bytes were held at most, and %d in the end", most.bytes.Load(), cfg.Memory.Held())
	}
}

// Bulks of large jobs share the available memory: each has all of its jobs created,
// even if one by one.
func TestBulksOfLargeJobsAreBounded(t *testing.T) {
	t.Parallel()
	s := bulkStore(t)
	const bytes, jobs = 8 << 20, 24 // with metas of more than that
	cfg, most := memoryOf(s, bytes)
	srv := unheld(t, cfg)
	meta := strings.Repeat("x", 400<<10)
	for _, form := range []string{"lines", "array"} {
		in, out := io.Pipe()
		go func() {
			w := bufio.NewWriter(out)
			for i := range jobs {
				switch {
				case form == "lines":
				case i == 0:
					io.WriteString(w, "[")
				default:
					io.WriteString(w, ",")
				}
				fmt.Fprintf(w, `{"id":"%s%d","trigger_time":1667659342626,"route":"r","meta":"%s"}`+"\n", form, i, meta)
			}
			if form == "array" {
				io.WriteString(w, "]")
			}
			out.CloseWithError(w.Flush())
		}()
		code, answers := bulk(t, srv, in)
		if stored := strings.Count(answers, `"status":"ok"`); code != 200 || stored != jobs {
			t.Errorf("%s: %d, and %d jobs are created, want %d: %.500s", form, code, stored, jobs, answers)
		}
	}
	if got := most.bytes.Load(); got > bytes || got < 1<<20 {
		t.Errorf("%d bytes were held at most, want some, and at most %d", got, bytes)
	}
	if held := cfg.Memory.Held(); held != 0 {
		t.Errorf("%d bytes are held in the end", held)
	}
}

// Without room for itself a bulk is refused, and has created nothing.
func TestBulkWithoutRoomIsRefused(t *testing.T) {
	t.Parallel()
	s := bulkStore(t)
	cfg, _ := memoryOf(s, 100)
	cfg.Memory.Force("db", 60)
	srv := server(t, cfg)
	code, answer := bulk(t, srv, strings.NewReader(`{"id":"a","trigger_time":1667659342626,"route":"r"}`))
	if code != 503 || !strings.Contains(answer, `"E305"`) || len(s.jobs) != 0 {
		t.Errorf("a bulk is answered %d %s, and there are %d jobs; want 503, E305 and none", code, answer, len(s.jobs))
	}
}
