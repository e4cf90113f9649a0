package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"belfry/api"
	"belfry/internal/job"
)

// endless is a body without an end; it counts what is read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return copy(p, bytes.Repeat([]byte(" "), len(p))), nil
}

func TestLargeBodiesAreNotReadToTheEnd(t *testing.T) {
	t.Parallel()
	cfg := config(newStore())
	cfg.Operations.MaxMeta = 1000
	handler := api.New(cfg)
	const limit = 1000 + 16<<10
	for _, tt := range []struct {
		name     string
		declared int64
		most     int
	}{
		{"declared too long", limit + 1, 0},
		{"not declared", -1, 2 * limit}, // reading is buffered
	} {
		body := &endless{}
		req := httptest.NewRequest("POST", "/job/db/coll", body)
		req.ContentLength = tt.declared
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, req)
		if rec.Code != 413 || body.read > tt.most {
			t.Errorf("%s: status %d after %d bytes read, want 413 after at most %d", tt.name, rec.Code, body.read, tt.most)
		}
	}

	// The server under the handler does not read on either: it answers although the
	// rest never comes, and ends the connection.
	srv := httptest.NewServer(handler) // with nothing between the two
	t.Cleanup(srv.Close)
	const head = "POST /job/db/coll HTTP/1.1\r\nHost: x\r\n"
	for _, request := range []string{
		head + fmt.Sprintf("Content-Length: %d\r\n\r\n", limit+1),
		head + "Content-Length: 1000000000000\r\n\r\n{",
		head + "Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n",
		head + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s", limit+1, strings.Repeat(" ", limit+1)),
	} {
		if resp, _ := raw(t, srv.Listener.Addr(), request); resp.StatusCode != 413 || !resp.Close {
			t.Errorf("%.100q: status %d, connection to be closed: %v; want 413, true", request, resp.StatusCode, resp.Close)
		}
	}
}

func TestBodyCutShort(t *testing.T) {
	t.Parallel()
	srv := server(t, config(newStore()))
	resp, _ := raw(t, srv.Listener.Addr(), "POST /job/db/coll HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
	if resp.StatusCode != 400 {
		t.Errorf("a broken chunk: status %d, want 400", resp.StatusCode)
	}
}

func TestContentEncoding(t *testing.T) {
	t.Parallel()
	srv := server(t, config(newStore()))
	const gzip = `{"error":"the body has the Content-Encoding \"gzip\"; plain JSON is accepted","code":"E002"}`
	for _, tt := range []struct {
		encoding []string // the values, one header each
		want     string
	}{
		{[]string{"gzip"}, gzip},
		{[]string{"identity"}, ok},
		{[]string{"Identity", "", " identity , identity"}, ok},
		{[]string{"identity", "gzip"}, gzip},
		{[]string{"", "gzip"}, gzip},
		{[]string{"gzip", "identity"}, gzip},
		{[]string{"identity, gzip"}, gzip},
		{[]string{"identity,,gzip;q=1"}, strings.Replace(gzip, "gzip", "gzip;q=1", 1)},
		{[]string{"identity", "x", "gzip"}, strings.Replace(gzip, "gzip", "x", 1)},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/route/db", strings.NewReader(`{"id":"r","type":"NATS"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Content-Encoding"] = tt.encoding
		if got := send(t, srv, req); got.body != tt.want {
			t.Errorf("Content-Encoding %q: got %d %s, want %s", tt.encoding, got.status, got.body, tt.want)
		}
	}
}

// A header that is given twice, or that a proxy may read differently, does not split a
// request: no part of its body is taken for the next request.
func TestRepeatedHeaders(t *testing.T) {
	t.Parallel()
	cfg := config(newStore())
	cfg.AdminToken, cfg.LoopbackHost = adminToken, "127.0.0.1"
	srv := server(t, cfg)
	const body = `{"id":"r","type":"NATS"}`
	const hidden = "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, tt := range []struct {
		name, headers, body string
		status              int
	}{
		{"as it should be", "Host: x\r\nAuthorization: Bearer TOKEN\r\nContent-Length: 24\r\n", body, 200},
		{"two hosts", "Host: localhost\r\nHost: evil.test\r\nAuthorization: Bearer TOKEN\r\nContent-Length: 24\r\n", body, 400},
		{"two equal hosts", "Host: x\r\nHost: x\r\nAuthorization: Bearer TOKEN\r\nContent-Length: 24\r\n", body, 400},
		{"no host", "Authorization: Bearer TOKEN\r\nContent-Length: 24\r\n", body, 400},
		{"two lengths", "Host: x\r\nAuthorization: Bearer TOKEN\r\nContent-Length: 24\r\nContent-Length: 2\r\n", body, 400},
		{"a list of lengths", "Host: x\r\nAuthorization: Bearer TOKEN\r\nContent-Length: 24, 24\r\n", body, 400},
		{"a length with a sign", "Host: x\r\nAuthorization: Bearer TOKEN\r\nContent-Length: +24\r\n", body, 400},
		{"two equal lengths", "Host: x\r\nAuthorization: Bearer TOKEN\r\nContent-Length: 24\r\nContent-Length: 24\r\n", body, 200},
		{"two codings", "Host: x\r\nAuthorization: Bearer TOKEN\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n" + hidden, 501},
		{"another coding", "Host: x\r\nAuthorization: Bearer TOKEN\r\nTransfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n" + hidden, 501},
		{"a length, and chunks", "Host: x\r\nAuthorization: Bearer TOKEN\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", "18\r\n" + body + "\r\n0\r\n\r\n", 200},
		{"two tokens", "Host: x\r\nAuthorization: Bearer TOKEN\r\nAuthorization: Bearer TOKEN\r\nContent-Length: 24\r\n", body, 401},
		{"a list of tokens", "Host: x\r\nAuthorization: Bearer TOKEN, Bearer TOKEN\r\nContent-Length: 24\r\n", body, 401},
		{"space before the colon", "Host: x\r\nAuthorization: Bearer TOKEN\r\nContent-Length : 24\r\n", body, 400},
		{"a folded header", "Host: x\r\nAuthorization: Bearer\r\n TOKEN\r\nContent-Length: 24\r\n", body, 200},
		{"two sites", "Host: x\r\nAuthorization: Bearer TOKEN\r\nSec-Fetch-Site: none\r\nSec-Fetch-Site: none\r\nContent-Length: 24\r\n", body, 403},
	} {
		request := "POST /route/db HTTP/1.1\r\n" + strings.ReplaceAll(tt.headers, "TOKEN", adminToken) + "Connection: close\r\n\r\n" + tt.body
		if resp, got := raw(t, srv.Listener.Addr(), request); resp.StatusCode != tt.status || strings.Contains(got, "HTTP/1.1") {
			t.Errorf("%s: got %d %q, want %d, and one answer", tt.name, resp.StatusCode, got, tt.status)
		}
	}
	for _, tags := range [][]string{{`"8"`, `"9"`}, {`"8", "9"`}, {`W/"9"`}} {
		req, err := http.NewRequestWithContext(t.Context(), "PUT", srv.URL+"/route/db/r", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header["If-Match"], req.Header["Authorization"] = tags, []string{"Bearer " + adminToken}
		if got := send(t, srv, req); got.status != 412 {
			t.Errorf("If-Match %q: got %d %s, want 412", tags, got.status, got.body)
		}
	}
}

func TestLateBody(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(api.New(config(newStore())))
	srv.Config.ReadTimeout = 500 * time.Millisecond
	srv.Start()
	t.Cleanup(srv.Close)
	const request = "POST /job/db/coll HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
	const want = `{"error":"the body did not arrive in time","code":"E002"}` + "\n"
	resp, body := raw(t, srv.Listener.Addr(), request)
	if resp.StatusCode != 400 || body != want {
		t.Errorf("%q and no more: got %d %q, want 400 %q", request, resp.StatusCode, body, want)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.fail = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	cfg := config(s)
	cfg.Timeout = time.Millisecond
	srv := server(t, cfg)
	expect(t, srv, "GET", "/job/db/coll/x", "", 503, `{"error":"the store is unavailable","code":"E302"}`)
	expect(t, srv, "POST", "/job/db/coll", goodJob, 503, `{"error":"outcome unknown, safe to repeat except where something is made up","code":"E303"}`)
}

func TestTroubleIsLoggedOnce(t *testing.T) {
	t.Parallel()
	s := newStore()
	var log bytes.Buffer
	cfg := config(s)
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	handler := api.New(cfg)
	request := func(method, path, body string) int {
		log.Reset()
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
		return rec.Code
	}

	const body = `{"id":"x","trigger_time":1667659342626,"meta":"secret","route":"r"}`
	for _, tt := range []struct {
		fail   func(context.Context) error
		status int
		logged string
	}{
		{func(context.Context) error { return errors.New("disk on fire") }, 500, "disk on fire"},
		{func(context.Context) error { return fmt.Errorf("%w: no quorum", job.ErrUnavailable) }, 503, "no quorum"},
		{func(context.Context) error { panic("at the store") }, 500, "panic: at the store"},
	} {
		s.fail = tt.fail
		got := request("POST", "/job/db/coll?token=secret", body)
		lines := strings.Count(log.String(), "\n")
		if got != tt.status || lines != 1 || !strings.Contains(log.String(), tt.logged) || !strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("got status %d and %d lines of log, want %d and one with %q:\n%s", got, lines, tt.status, tt.logged, &log)
		}
		if strings.Contains(log.String(), "secret") {
			t.Errorf("the log tells secrets:\n%s", &log)
		}
	}

	s.fail = func(context.Context) error { return nil }
	if got := request("POST", "/job/db/coll", body); got != 400 || log.Len() > 0 {
		t.Errorf("got status %d and log %q, want 400 and none", got, &log)
	}
}

// TestClientLeaves checks that the store's context ends with the client, and
// that no answer is made up for one that has left.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	s := newStore()
	asked := make(chan struct{})
	left := make(chan error, 1)
	s.fail = func(ctx context.Context) error {
		close(asked)
		<-ctx.Done()
		left <- context.Cause(ctx)
		return ctx.Err()
	}
	var log bytes.Buffer
	cfg := config(s)
	cfg.Timeout = time.Hour
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	handler := api.New(cfg)
	aborted := make(chan any, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { v := recover(); aborted <- v; panic(v) }()
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)

	ctx, leave := context.WithCancel(t.Context())
	go func() { <-asked; leave() }()
	req, err := http.NewRequestWithContext(ctx, "DELETE", srv.URL+"/job/db/coll/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := srv.Client().Do(req); err == nil {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		t.Errorf("the client that left got status %d", resp.StatusCode)
	}
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the store's context ended with %v, want %v", err, context.Canceled)
	}
	if v := <-aborted; v != http.ErrAbortHandler {
		t.Errorf("the handler ended with %v, want %v", v, http.ErrAbortHandler)
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", &log)
	}
}
