package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"belfry/api"
	"belfry/internal/job"
)

type tokens struct{ *store }

func (s tokens) Find(id string) (job.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tokens[id]
	switch {
	case s.unknown:
		return t, fmt.Errorf("%w: not read", job.ErrUnavailable)
	case !ok:
		return t, job.ErrTokenNotFound
	}
	return t, nil
}

func (s tokens) InUse() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unknown {
		return false, fmt.Errorf("%w: not read", job.ErrUnavailable)
	}
	return s.inUse, nil
}

func (s tokens) List() ([]job.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.tokens)), nil
}

func (s tokens) Create(ctx context.Context, t job.Token) error {
	return s.with(ctx, func() error { s.tokens[t.ID], s.inUse = t, true; return nil })
}

func (s tokens) Delete(ctx context.Context, id string) error {
	return s.with(ctx, func() error {
		if _, ok := s.tokens[id]; !ok {
			return job.ErrTokenNotFound
		}
		delete(s.tokens, id)
		return nil
	})
}

// issue stores a token and returns its text.
func (s *store) issue(t *testing.T, asked job.Token) string {
	t.Helper()
	token, text := asked.Issue(time.Now())
	if err := (tokens{s}).Create(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	return text
}

const adminToken = "an admin token to begin with"

// as sends a request with a token, and returns the answer and its code.
func as(t *testing.T, srv *httptest.Server, token, method, path, body string) (answer, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	got := send(t, srv, req)
	var refused struct{ Code string }
	_ = json.Unmarshal([]byte(got.body), &refused) // a 200 has none
	return got, refused.Code
}

// endpoint is an endpoint of the router, with "mine" as its db.
type endpoint struct {
	method, pattern, path string
	hasDB                 bool
}

// endpoints walks all routes.
func endpoints(t *testing.T, handler http.Handler) []endpoint {
	t.Helper()
	var all []endpoint
	values := strings.NewReplacer("{db}", "mine", "{collection}", "c", "{id}", "i", "{sequence}", "1")
	err := chi.Walk(handler.(chi.Routes), func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		all = append(all, endpoint{method, pattern, values.Replace(pattern), strings.Contains(pattern, "{db}")})
		return nil
	})
	if err != nil || len(all) < 20 {
		t.Fatalf("the walk of the routes found %d: %v", len(all), err)
	}
	for _, e := range all {
		if strings.Contains(e.path, "{") {
			t.Fatalf("%s %s has a parameter that this test does not know", e.method, e.pattern)
		}
	}
	return all
}

// Every endpoint has its row. It is closed to a token of another db, to a token of any
// single db if its path has no db, and to readers unless it only reads.
func TestEveryEndpointIsGuarded(t *testing.T) {
	t.Parallel()
	s := newStore()
	cfg := config(s)
	cfg.AdminToken = adminToken
	srv := server(t, cfg)
	open := []string{"/", "/docs", "/openapi.json", "/healthz", "/readyz"}
	other := s.issue(t, job.Token{Role: job.Writer, DBs: []string{"other", "min", "mine2", "Mine", "*"}})
	mine := s.issue(t, job.Token{Role: job.Writer, DBs: []string{"mine"}})
	reads := s.issue(t, job.Token{Role: job.Reader, DBs: []string{"mine"}})
	admin := s.issue(t, job.Token{Role: job.Admin, DBs: []string{"mine"}})
	allDBs := s.issue(t, job.Token{Role: job.Reader, AllDBs: true})
	expired := s.issue(t, job.Token{Role: job.Admin, AllDBs: true, Expires: 1})
	for _, e := range endpoints(t, api.New(cfg)) {
		if e.pattern == "/docs" {
			continue // a page for humans, and open
		}
		name := e.method + " " + e.pattern
		must := func(who, token string, want ...string) {
			t.Helper()
			got, code := as(t, srv, token, e.method, e.path, "")
			if !slices.Contains(want, code) {
				t.Errorf("%s as %s: %d %s, want one of the codes %q", name, who, got.status, got.body, want)
			}
			if challenge := got.header.Get("WWW-Authenticate"); (challenge == "Bearer") != (got.status == 401) {
				t.Errorf("%s as %s: status %d with WWW-Authenticate %q", name, who, got.status, challenge)
			}
		}
		if got, code := as(t, srv, adminToken, e.method, e.path, ""); got.status == 401 || got.status == 403 || code == "E301" {
			t.Errorf("%s as admin: %d %s; has it a row in the table of endpoints?", name, got.status, got.body)
		}
		role, ok := api.Needs(name)
		if !ok {
			t.Errorf("%s has no row in the table of endpoints", name)
			continue
		}
		if open := slices.Contains(open, e.pattern); open != (role == "") {
			t.Errorf("%s needs the role %q by the table of endpoints; is it to be open: %v", name, role, open)
		}
		if role == "" {
			must("nobody", "", "")
			continue
		}
		must("nobody", "", "E401")
		must("a stranger", "hunter2", "E401")
		must("expired", expired, "E401")
		switch {
		case e.hasDB:
			must("a writer of another db", other, "E403")
			if got, code := as(t, srv, mine, e.method, e.path, ""); got.status == 401 || got.status == 403 {
				t.Errorf("%s as a writer of the db: %d %s", name, got.status, code)
			}
			if got, code := as(t, srv, reads, e.method, e.path, ""); (code == "E403") != (role != job.Reader) || (role == job.Reader) != (e.method == "GET") {
				t.Errorf("%s, for the role %s, as a reader of the db: %d %s, want E403 unless it is a GET", name, role, got.status, got.body)
			}
		default:
			// An endpoint without a db is for all of them, so a token for some of them
			// is refused.
			for _, token := range []string{other, mine, reads, admin} {
				must("somebody of one db", token, "E403")
			}
			if got, code := as(t, srv, allDBs, e.method, e.path, ""); (code == "E403") != (role != job.Reader) {
				t.Errorf("%s as a reader of all dbs: %d %s, want E403 unless readers may", name, got.status, got.body)
			}
		}
	}
}

func TestPathsDoNotLeadAround(t *testing.T) {
	t.Parallel()
	s := newStore()
	cfg := config(s)
	cfg.AdminToken = adminToken
	srv := server(t, cfg)
	token := s.issue(t, job.Token{Role: job.Writer, DBs: []string{"mine", "a/b", "é"}})
	for path, want := range map[string]int{
		"/job/mine/c/i":          400, // no such job
		"/job/%6Dine/c/i":        400,
		"/job/a%2Fb/c/i":         400,
		"/job/%C3%A9/c/i":        400,
		"/job/other/c/i":         403,
		"/job/mine%2F/c/i":       403,
		"/job//mine/i":           403,
		"/job/mine%00/c/i":       403,
		"/job/%256Dine/c/i":      403,
		"/job/other/..%2Fmine/i": 403,
		"/job/other/../mine":     403, // not cleaned: a collection named ".."
		"/job/mine/c/i/fire":     405,
		"/nowhere":               404,
		"/job/other?db=mine":     403,
		"/job/other/c/i?db=mine": 403,
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = "//" + req.URL.Host + path // as it is
		req.Header.Set("Authorization", "bEARER  "+token+" ")
		if got := send(t, srv, req); got.status != want {
			t.Errorf("GET %s: %d %s, want %d", path, got.status, got.body, want)
		}
	}
	for _, method := range []string{"HEAD", "PATCH", "BREW"} {
		req := httptest.NewRequest(method, "/job/mine/c/i", nil)
		rec := httptest.NewRecorder()
		srv.Config.Handler.ServeHTTP(rec, req)
		if rec.Code != 401 {
			t.Errorf("%s without a token: %d, want 401", method, rec.Code)
		}
	}
}

func TestAuthorizationHeaders(t *testing.T) {
	t.Parallel()
	s := newStore()
	cfg := config(s)
	cfg.AdminToken = adminToken
	var log bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	handler := api.New(cfg)
	token := s.issue(t, job.Token{Role: job.Reader, AllDBs: true})
	id, secret, _ := job.SplitToken(token)
	_, otherSecret, _ := job.SplitToken(s.issue(t, job.Token{Role: job.Reader, AllDBs: true}))
	for _, tt := range []struct {
		headers []string
		want    int
	}{
		{[]string{"Bearer " + token}, 400}, // let in, and there is no such job
		{[]string{"bearer " + adminToken}, 400},
		{nil, 401},
		{[]string{""}, 401},
		{[]string{"Bearer"}, 401},
		{[]string{"Bearer "}, 401},
		{[]string{token}, 401},
		{[]string{"Basic " + token}, 401},
		{[]string{"Bearer " + token, "Bearer " + token}, 401},
		{[]string{"Bearer " + token + "x"}, 401},
		{[]string{"Bearer belfry_" + id + "_" + otherSecret}, 401},
		{[]string{"Bearer belfry_" + id + "_"}, 401},
		{[]string{"Bearer " + adminToken + "x"}, 401},
		{[]string{"Bearer " + strings.Repeat("x", 30<<10)}, 401},
	} {
		req := httptest.NewRequest("GET", "/job/db/c/i", nil)
		req.Header["Authorization"] = tt.headers
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, req)
		if rec.Code != tt.want {
			t.Errorf("%.100q: %d %s, want %d", tt.headers, rec.Code, rec.Body, tt.want)
		}
		for _, private := range []string{secret, otherSecret, adminToken} {
			if strings.Contains(rec.Body.String(), private) || strings.Contains(log.String(), private) {
				t.Errorf("%.100q: the answer %s or the log %s tells a secret", tt.headers, rec.Body, &log)
			}
		}
	}
}

func TestTokensOverREST(t *testing.T) {
	t.Parallel()
	s := newStore()
	cfg := config(s)
	cfg.AdminToken = adminToken
	srv := server(t, cfg)
	got, _ := as(t, srv, adminToken, "POST", "/token", `{"role":"reader","dbs":["db"],"description":"CI"}`)
	var made struct{ Token, ID string }
	if err := json.Unmarshal([]byte(got.body), &made); err != nil || got.status != 200 || made.Token == "" {
		t.Fatalf("POST /token: %d %s (%v)", got.status, got.body, err)
	}
	if got, code := as(t, srv, made.Token, "GET", "/job/db/c/i", ""); code != "E101" {
		t.Errorf("with the new token: %d %s, want E101", got.status, got.body)
	}
	list, _ := as(t, srv, adminToken, "GET", "/token", "")
	if _, secret, _ := job.SplitToken(made.Token); !strings.Contains(list.body, made.ID) || strings.Contains(list.body, secret) || strings.Contains(list.body, "sha256") {
		t.Errorf("GET /token: %s, want the id %s and no secret", list.body, made.ID)
	}
	if got, _ := as(t, srv, adminToken, "DELETE", "/token/"+made.ID, ""); got.body != ok {
		t.Errorf("DELETE /token/%s: %d %s", made.ID, got.status, got.body)
	}
	if got, code := as(t, srv, made.Token, "GET", "/job/db/c/i", ""); code != "E401" {
		t.Errorf("with the revoked token: %d %s, want E401", got.status, got.body)
	}
}

// Once tokens have been made they are required, also on a node without an admin token,
// and after the last one is gone.
func TestAuthenticationStaysOn(t *testing.T) {
	t.Parallel()
	s := newStore()
	srv := server(t, config(s))
	if _, code := as(t, srv, "", "GET", "/job/db/c/i", ""); code != "E101" {
		t.Errorf("without tokens: %s, want E101", code)
	}
	if _, code := as(t, srv, "whatever", "GET", "/job/db/c/i", ""); code != "E101" {
		t.Errorf("without tokens, with one: %s, want E101", code)
	}
	text := s.issue(t, job.Token{Role: job.Admin, AllDBs: true})
	if _, code := as(t, srv, "", "GET", "/job/db/c/i", ""); code != "E401" {
		t.Errorf("with a token in the store: %s, want E401", code)
	}
	if got, _ := as(t, srv, text, "POST", "/token", `{"role":"admin"}`); got.status != 200 {
		t.Errorf("an admin of the store makes a token: %d %s", got.status, got.body)
	}
	clear(s.tokens)
	if _, code := as(t, srv, text, "GET", "/job/db/c/i", ""); code != "E401" {
		t.Errorf("with no token left: %s, want E401", code)
	}
}

// While the tokens are not known yet, they decide nothing.
func TestTokensNotKnownYet(t *testing.T) {
	t.Parallel()
	s := newStore()
	cfg := config(s)
	text := s.issue(t, job.Token{Role: job.Reader, AllDBs: true})
	s.unknown = true
	for _, admin := range []string{"", adminToken} {
		cfg.AdminToken = admin
		srv := server(t, cfg)
		for _, token := range []string{text, ""} {
			want := "E302"
			if admin != "" && token == "" {
				want = "E401" // whatever the tokens are
			}
			if got, code := as(t, srv, token, "GET", "/job/db/c/i", ""); code != want {
				t.Errorf("admin token %q, token %q: %d %s, want %s", admin, token, got.status, got.body, want)
			}
		}
		if got, _ := as(t, srv, "", "GET", "/healthz", ""); got.status != 200 {
			t.Errorf("GET /healthz: %d, want 200", got.status)
		}
	}
}
