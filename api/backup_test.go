package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"belfry/api"
	"belfry/internal/backup"
	"belfry/internal/job"
)

// emptyBackup is a backup without entries, not compressed.
const emptyBackup = `{"format":"belfry-backup","version":1,"id":"x","made_at":1667659342626,"belfry":"v1"}
{"kind":"end","counts":{},"sha256":"128a8c9dd6850a94c3f202f2f29c205a6a19455cb30d43be283f316b3ab4e193"}
`

// backups is a store that has the entries, and keeps what is restored.
type backups struct {
	fail    func(context.Context) error
	entries func(visit func(job.Entry) error) error

	id       string
	restored []job.Entry
}

func (b *backups) Each(_ context.Context, visit func(job.Entry) error) error {
	if b.entries == nil {
		return nil
	}
	return b.entries(visit)
}

func (b *backups) Restore(ctx context.Context, id string, next func() (job.Entry, error)) error {
	if b.fail != nil {
		if err := b.fail(ctx); err != nil {
			return err
		}
	}
	b.id = id
	for {
		e, err := next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		b.restored = append(b.restored, e)
	}
}

// manyJobs are entries of some MiB.
func manyJobs(visit func(job.Entry) error) error {
	for i := range 5000 {
		j := job.Job{
			Key:     job.Key{DB: "db", Collection: "coll", ID: fmt.Sprint(i)},
			Trigger: trigger.UnixMilli(), Meta: fmt.Appendf(nil, `"%x"`, bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 300)), Route: "r",
		}
		if err := visit(job.Entry{Job: &job.Record{Arming: job.Arming{Job: j, FireID: "F"}, Status: job.Scheduled, Due: j.Trigger, Revision: 1}}); err != nil {
			return err
		}
	}
	return nil
}

func getBackup(t *testing.T, srv *httptest.Server) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/backup", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	file, err := io.ReadAll(resp.Body)
	return resp, file, err
}

// Both may take longer than the server's timeouts, and so may the store's work in
// between.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, serve func(http.Handler) *httptest.Server) {
		s := newStore()
		s.backups.entries = func(visit func(job.Entry) error) error {
			time.Sleep(longRequest) // the store's pace
			return manyJobs(visit)
		}
		s.backups.fail = func(context.Context) error { time.Sleep(longRequest); return nil }
		cfg := config(s)
		cfg.Version = "v1.2.3"
		srv := serve(held(t, api.New(cfg)))

		resp, file, err := getBackup(t, srv)
		if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/gzip" {
			t.Fatalf("GET /backup: %d, %v, %v", resp.StatusCode, resp.Header, err)
		}
		r, err := backup.NewReader(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if h := r.Header(); h.Belfry != "v1.2.3" || h.ID == "" || time.Since(time.UnixMilli(h.Made)) > time.Hour {
			t.Errorf("the first line is %v", h)
		}
		in, out := io.Pipe()
		go slowly(out, file)
		req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/restore", in)
		if err != nil {
			t.Fatal(err)
		}
		if got := send(t, srv, req); got.status != 200 || got.body != `{"status":"ok","restored":{"job":5000}}` {
			t.Errorf("POST /restore: %d %s", got.status, got.body)
		}
		var want []job.Entry
		_ = manyJobs(func(e job.Entry) error { want = append(want, e); return nil })
		if !reflect.DeepEqual(want, s.backups.restored) || s.backups.id != r.Header().ID {
			t.Errorf("%d entries of the backup %q were restored; want the same %d of %q", len(s.backups.restored), s.backups.id, len(want), r.Header().ID)
		}
		if got := do(t, srv, "HEAD", "/backup", ""); got.status != 200 || got.body != "" {
			t.Errorf("HEAD /backup: %d %s", got.status, got.body)
		}
	})
}

// slowly sends the file bit by bit, at a client's pace.
func slowly(out *io.PipeWriter, file []byte) {
	for begun := time.Now(); len(file) > 0; time.Sleep(10 * time.Millisecond) {
		n := len(file)
		if time.Since(begun) < longRequest {
			n = min(n, len(file)/100+1)
		}
		out.Write(file[:n])
		file = file[n:]
	}
	out.Close()
}

// A backup that fails is not sent, or ends in the middle.
func TestBackupThatFails(t *testing.T) {
	t.Parallel()
	s := newStore()
	broken := fmt.Errorf("%w: secret cause", job.ErrUnavailable)
	s.backups.entries = func(visit func(job.Entry) error) error { return broken }
	srv := server(t, config(s))
	expect(t, srv, "GET", "/backup", "", 503, `{"error":"the store is unavailable","code":"E302"}`)
	s.backups.entries = func(visit func(job.Entry) error) error {
		if err := manyJobs(visit); err != nil {
			return err
		}
		return broken
	}
	resp, file, err := getBackup(t, srv)
	if resp.StatusCode != 200 || len(file) == 0 || err == nil {
		t.Errorf("one that fails halfway: %d, %d bytes, %v; want a connection that is cut", resp.StatusCode, len(file), err)
	}
}

// A large body is refused with a reason. A backup with tokens is refused unless tokens
// are already needed.
func TestRestoreIsRefused(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.backups.entries = manyJobs
	srv := server(t, config(s))
	_, file, err := getBackup(t, srv)
	if err != nil {
		t.Fatal(err)
	}
	s.backups.fail = func(context.Context) error { return fmt.Errorf("%w: there are jobs", job.ErrNotEmpty) }
	post := func(srv *httptest.Server, token string, body []byte, encoding string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/restore", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		if encoding != "" {
			req.Header.Set("Content-Encoding", encoding)
		}
		got := send(t, srv, req)
		return fmt.Sprintf("%d %s", got.status, got.body)
	}
	if got, want := post(srv, "", file, ""), `409 {"error":"the server is not empty: there are jobs","code":"E141"}`; got != want {
		t.Errorf("a server that is not empty: got %s, want %s", got, want)
	}
	if got := post(srv, "", file, "gzip"); !strings.Contains(got, "E002") {
		t.Errorf("with a Content-Encoding: got %s, want E002", got)
	}
	s.backups.fail = nil
	if got := post(srv, "", file[:len(file)/2], ""); !strings.Contains(got, "E014") {
		t.Errorf("a half: got %s, want E014", got)
	}

	token, _ := job.Token{Role: job.Admin, AllDBs: true}.Issue(trigger)
	s.backups.entries = func(visit func(job.Entry) error) error { return visit(job.Entry{Token: &token}) }
	_, file, err = getBackup(t, srv)
	if err != nil {
		t.Fatal(err)
	}
	if got := post(srv, "", file, ""); !strings.Contains(got, "E402") {
		t.Errorf("tokens without authentication: got %s, want E402", got)
	}
	cfg := config(s)
	cfg.AdminToken = adminToken
	if got := post(server(t, cfg), adminToken, file, ""); got != `200 {"status":"ok","restored":{"token":1}}` {
		t.Errorf("tokens with authentication: got %s", got)
	}
}
