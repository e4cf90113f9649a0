package api_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"belfry/api"
	"belfry/internal/job"
)

// asked sends a request for a host with headers, given as alternating names and
// values, and returns the status and the code of the answer.
func asked(t *testing.T, h http.Handler, method, host, path, body string, header ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Host = host
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var refused struct{ Error, Code string }
	if err := json.Unmarshal(w.Body.Bytes(), &refused); err == nil && refused.Code != "" {
		return w.Code, refused.Code
	}
	return w.Code, ""
}

// No page of another origin can make a browser write, whatever rights the browser has.
func TestPagesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	for _, admin := range []string{"", adminToken} {
		s := newStore()
		cfg := config(s)
		cfg.AdminToken = admin
		h := held(t, api.New(cfg))
		all := endpoints(t, api.New(cfg))
		for _, tt := range []struct {
			header  []string
			refused bool
		}{
			{nil, false}, // curl, and every other client that is no browser
			{[]string{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8080"}, false},
			{[]string{"Sec-Fetch-Site", "none"}, false},
			{[]string{"Origin", "http://127.0.0.1:8080"}, false},
			{[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example", "Content-Type", "text/plain"}, true},
			{[]string{"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:3000"}, true},
			{[]string{"Origin", "https://evil.example"}, true},
			{[]string{"Origin", "null"}, true},
			{[]string{"Sec-Fetch-Site", "SAME-ORIGIN"}, true},
			{[]string{"Sec-Fetch-Site", "none, cross-site"}, true},
			// A second header says as much as the first.
			{[]string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"}, true},
			{[]string{"Sec-Fetch-Site", "", "Sec-Fetch-Site", "cross-site"}, true},
			{[]string{"Origin", "http://127.0.0.1:8080", "Origin", "https://evil.example"}, true},
			{[]string{"Origin", "", "Origin", "https://evil.example"}, true},
			{[]string{"Origin", "http://127.0.0.1:8080, https://evil.example"}, true},
		} {
			header := append([]string{"Authorization", "Bearer " + admin}, tt.header...)
			for _, e := range all {
				if e.path == "/docs" || e.path == "/" || e.path == "/metrics" {
					continue // they only read, as another walk shows
				}
				_, code := asked(t, h, e.method, "127.0.0.1:8080", e.path, "", header...)
				if want := tt.refused && e.method != http.MethodGet; (code == "E411") != want {
					t.Errorf("%s %s with %q: the code is %q, want E411: %v", e.method, e.path, tt.header, code, want)
				}
			}
		}
		s.with(t.Context(), func() error {
			if len(s.routes) > 0 || len(s.jobs) > 0 {
				t.Errorf("there are %d routes and %d jobs, want none", len(s.routes), len(s.jobs))
			}
			return nil
		})
	}
}

// Without authentication a name that leads to loopback is not enough: a page may own
// the name.
func TestHosts(t *testing.T) {
	t.Parallel()
	hosts := map[string]bool{
		"127.0.0.1:8080":        true,
		"127.0.0.1":             true,
		"127.1.2.3:1":           true,
		"[::1]:8080":            true,
		"[::1]":                 true,
		"[::ffff:127.0.0.1]":    true,
		"localhost:8080":        true,
		"LocalHost":             true,
		"timers.test:9":         true, // the configured host to listen on
		"":                      true, // HTTP/1.0, as health checks may be
		"evil.example:8080":     false,
		"evil.example":          false,
		"localhost.evil.test":   false,
		"127.0.0.1.nip.test":    false,
		"10.0.0.1:8080":         false,
		"0.0.0.0:8080":          false,
		"[fe80::1]:8080":        false,
		"127.0.0.1:8080:8080":   false,
		"localhost@evil.test":   false,
		"timers.test.evil.test": false,

		// These are no host in its one form.
		"LOCALHOST:65535":          true,
		"TIMERS.test":              true,
		"[::1]:1":                  true,
		"[0:0:0:0:0:0:0:1]":        true,
		"[localhost":               false,
		"[localhost:8080":          false,
		"[localhost]":              false,
		"[localhost]:8080":         false,
		"localhost]":               false,
		"localhost]:8080":          false,
		"[timers.test":             false,
		"[timers.test]":            false,
		"timers.test]":             false,
		"[127.0.0.1":               false,
		"[127.0.0.1]":              false,
		"127.0.0.1]":               false,
		"[::1":                     false,
		"::1]":                     false,
		"::1":                      false, // without its brackets
		"::1:8080":                 false,
		"[::1]8080":                false,
		"[::1]:":                   false,
		"[::1]:x":                  false,
		"[::1]]":                   false,
		"[[::1]]":                  false,
		"[::1]:8080:8080":          false,
		"[::1%lo]":                 false,
		"[::1%25lo]:8080":          false,
		"[]":                       false,
		"[]:8080":                  false,
		"localhost:":               false,
		"localhost:0":              false,
		"localhost:abc":            false,
		"localhost:-1":             false,
		"localhost:+80":            false,
		"localhost:65536":          false,
		"localhost:0000080":        false,
		"localhost:8080:8080":      false,
		"localhost:8080@evil.test": false,
		"user@localhost":           false,
		"user:secret@localhost":    false,
		"evil.test@127.0.0.1":      false,
		"localhost.":               false,
		"127.0.0.1.":               false,
		"timers.test.":             false,
		".localhost":               false,
		"a.localhost":              false,
		"127.0.0.1:abc":            false,
		"127.0.0.1:":               false,
		"127.1":                    false,
		"127.1:8080":               false,
		"0127.0.0.1":               false,
		"0x7f.0.0.1":               false,
		"2130706433":               false,
		"0":                        false,
		"localhost, evil.test":     false,
		"localhost,localhost":      false,
		"localhost evil.test":      false,
		" localhost":               false,
		"localhost ":               false,
		"localhost/":               false,
		"localhost#":               false,
		"http://localhost":         false,
		":8080":                    false,
		":":                        false,
		"@":                        false,
		".":                        false,
	}
	paths := []string{"/backup", "/healthz", "/", "/nowhere", "/job/games/c/i"}
	s := newStore()
	cfg := config(s)
	local := cfg
	local.LoopbackHost = "timers.test"
	withToken := local
	withToken.AdminToken = adminToken
	onLoopback, beyond, authenticated := api.New(local), api.New(cfg), api.New(withToken)
	for host, accepted := range hosts {
		for _, path := range paths {
			if status, code := asked(t, onLoopback, "GET", host, path, ""); (code == "E412") == accepted || (status == 403) == accepted {
				t.Errorf("GET %s for the host %q: %d %s, want it accepted: %v", path, host, status, code, accepted)
			}
			if _, code := asked(t, beyond, "GET", host, path, ""); code == "E412" {
				t.Errorf("GET %s for the host %q beyond loopback: %s, want it accepted", path, host, code)
			}
			if status, _ := asked(t, authenticated, "GET", host, path, "", "Authorization", "Bearer "+adminToken); status == 403 {
				t.Errorf("GET %s for the host %q with authentication: 403, want it accepted", path, host)
			}
		}
		admin := api.Local("timers.test", slog.New(slog.DiscardHandler), cfg.Scrape)
		if status, code := asked(t, admin, "GET", host, "/metrics", ""); (status == 200) != accepted || (code == "E412") == accepted {
			t.Errorf("of the admin listener for the host %q: %d %s, want it accepted: %v", host, status, code, accepted)
		}
	}
	// A token in the store turns authentication on, also for a server that already
	// runs.
	s.issue(t, job.Token{Role: job.Reader, AllDBs: true})
	if _, code := asked(t, onLoopback, "GET", "timers.example", "/db", ""); code != "E401" {
		t.Errorf("GET /db for another host with a token in the store: %s, want E401", code)
	}
}

func TestRefusalsOfOthersHelp(t *testing.T) {
	t.Parallel()
	cfg := config(newStore())
	cfg.LoopbackHost = "127.0.0.1"
	h := api.New(cfg)
	for _, tt := range []struct{ method, host, site, want string }{
		{"GET", "timers.example", "", `{"error":"the host is not that of a local server: Host is \"timers.example\"; without authentication localhost and loopback addresses are accepted, as in http://127.0.0.1:8080; with --admin-token-file any host is","code":"E412"}`},
		{"POST", "127.0.0.1", "cross-site", `{"error":"the request comes from a web page of another origin: Origin is \"\", Sec-Fetch-Site is \"cross-site\"; \"POST\" is accepted without either, or from a page of this server","code":"E411"}`},
	} {
		r := httptest.NewRequest(tt.method, "/route/games", nil)
		r.Host = tt.host
		if tt.site != "" {
			r.Header.Set("Sec-Fetch-Site", tt.site)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := strings.TrimSuffix(w.Body.String(), "\n"); got != tt.want {
			t.Errorf("%s for %s:\n got %s\nwant %s", tt.method, tt.host, got, tt.want)
		}
	}
}
