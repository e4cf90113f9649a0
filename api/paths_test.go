package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"belfry/internal/job"
)

// strange are ids that HTTP, URLs, routers or NATS might mistake.
var strange = []string{
	"...", "a.b", "*", ">", "a*b>c", " ", "a b", "a/b", "/", "//", "../..", `\`, "$", "$JS.API", "%", "%25", "%2F", "%zz",
	"?", "a?b=c", "#", "a+b", "a;b=c", "a&b", "{id}", ":id", "é", "日本語", "☎️", "😀", "\x00", "\n", "\u2028", `"`, "'", "<b>",
	"healthz", strings.Repeat("é", 100), strings.Repeat("/", 200),
}

func TestIDsInPaths(t *testing.T) {
	t.Parallel()
	s := newStore()
	srv := server(t, config(s))
	for _, id := range strange {
		quoted := fmt.Sprintf(`"%s"`, strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\x00", `\u0000`).Replace(id))
		// Escaped as little as a client would, and as much as one can.
		var all strings.Builder
		for _, b := range []byte(id) {
			fmt.Fprintf(&all, "%%%02x", b)
		}
		for _, escaped := range []string{url.PathEscape(id), all.String()} {
			clear(s.jobs)
			clear(s.routes)
			coll := "/job/" + escaped + "/" + escaped
			path := coll + "/" + escaped
			body := fmt.Sprintf(`{"id":%s,"trigger_time":1667659342626,"route":%s}`, quoted, quoted)
			expect(t, srv, "POST", "/route/"+escaped, fmt.Sprintf(`{"id":%s,"type":"REST","webhook_url":"a"}`, quoted), 200, ok)
			expect(t, srv, "PUT", "/route/"+escaped+"/"+escaped, `{"type":"REST","webhook_url":"b"}`, 200, ok)
			if got := do(t, srv, "GET", "/route/"+escaped+"/"+escaped, ""); got.status != 200 {
				t.Errorf("GET of route %q as %s: %d %s", id, escaped, got.status, got.body)
			}
			expect(t, srv, "POST", coll, body, 200, ok)
			expect(t, srv, "PUT", path, body, 200, ok)
			if got := do(t, srv, "GET", path, ""); got.status != 200 {
				t.Errorf("GET of job %q as %s: %d %s", id, escaped, got.status, got.body)
			}
			expect(t, srv, "DELETE", path, "", 200, ok)
			expect(t, srv, "DELETE", "/route/"+escaped+"/"+escaped, "", 200, ok)
			if r, ok := s.jobs[job.Key{DB: id, Collection: id, ID: id}]; !ok || r.Status != job.Cancelled || len(s.jobs) != 1 {
				t.Errorf("id %q as %s: got jobs %v, want this one cancelled", id, escaped, s.jobs)
			}
		}
	}
}

// Clients and proxies leave . and .. out of a path, so nothing is made with them.
func TestDotsAreNoIDs(t *testing.T) {
	t.Parallel()
	srv := server(t, config(newStore()))
	for _, dots := range []string{".", ".."} {
		escaped := strings.ReplaceAll(dots, ".", "%2e")
		for _, request := range []struct{ method, path, body string }{
			{"POST", "/route/db", `{"id":"` + dots + `","type":"NATS"}`},
			{"POST", "/route/" + escaped, `{"id":"r","type":"NATS"}`},
			{"PUT", "/route/db/" + escaped, `{"type":"NATS"}`},
			{"POST", "/job/db/coll", `{"id":"` + dots + `","trigger_time":1667659342626,"route":"r"}`},
			{"POST", "/job/db/" + escaped, `{"id":"x","trigger_time":1667659342626,"route":"r"}`},
			{"POST", "/job/" + escaped + "/coll", `{"id":"x","trigger_time":1667659342626,"route":"r"}`},
			{"PUT", "/job/db/coll/" + escaped, `{"trigger_time":1667659342626,"route":"r"}`},
			{"POST", "/job/db/coll", `{"id":"x","trigger_time":1667659342626,"route":"` + dots + `"}`},
			{"POST", "/token", `{"role":"reader","dbs":["` + dots + `"]}`},
		} {
			if got := do(t, srv, request.method, request.path, request.body); got.status != 400 || !strings.Contains(got.body, "E007") && request.path != "/token" {
				t.Errorf("%s %s %s: got %d %s, want 400 E007", request.method, request.path, request.body, got.status, got.body)
			}
		}
	}
}

// TestUnescapedPaths sends what http.Client would escape, as curl would not.
func TestUnescapedPaths(t *testing.T) {
	t.Parallel()
	s := newStore()
	srv := server(t, config(s))
	for _, tt := range []struct{ sent, id string }{
		{`é`, "é"},
		{`a%2Fé`, "a/é"},
		{`a%2Fb"c<d>|e^f`, `a/b"c<d>|e^f`},
		{`%252F`, "%2F"},
		{`..`, ".."},
		{`%2e.`, ".."},
	} {
		key := job.Key{DB: "db", Collection: "coll", ID: tt.id}
		s.jobs[key] = job.New(job.Job{Key: key, Meta: []byte("null"), Route: "r"}, "fire")
		if got, _ := raw(t, srv.Listener.Addr(), "GET /job/db/coll/"+tt.sent+" HTTP/1.1\r\nHost: x\r\n\r\n"); got.StatusCode != 200 {
			t.Errorf("GET of %q sent as %s: status %d, want 200", tt.id, tt.sent, got.StatusCode)
		}
	}
	if got, _ := raw(t, srv.Listener.Addr(), "GET /job/db/coll/\xff HTTP/1.1\r\nHost: x\r\n\r\n"); got.StatusCode != 400 {
		t.Errorf("GET of a raw byte 0xff: status %d, want 400", got.StatusCode)
	}
}

// raw sends bytes on its own connection and returns the answer. The bytes need not be
// a whole request: the answer comes anyway.
func raw(t *testing.T, addr net.Addr, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second)) // a server that waits for more fails the test
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatalf("sending %.100q: %v", request, err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("reading the answer to %.100q: %v", request, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading the answer to %.100q: %v", request, err)
	}
	return resp, string(body)
}
