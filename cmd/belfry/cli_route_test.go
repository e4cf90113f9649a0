package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/command"
	"belfry/internal/job"
)

// proxyTo is a server that hands requests on, and does something once before the first
// one of a method.
func proxyTo(t *testing.T, server, method string, do func()) string {
	t.Helper()
	target := must(url.Parse(server))
	proxy := httputil.NewSingleHostReverseProxy(target)
	once := sync.OnceFunc(do)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method {
			once()
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

const (
	anySecret   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	otherSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

func TestRouteCommands(t *testing.T) {
	t.Parallel()
	s, srv := shellAt(t)
	s.prints(t, "added hook\n", "route", "add", "games", "hook", "--url", "http://127.0.0.1:9/x?a=b",
		"--max-attempts", "5", "--min-backoff", "1.5s", "--max-age", "2d", "--jitter", "0.5", "--timeout", "2s", "--method", "PUT",
		"--header", "X-Key: a, b", "--header", "X-Two:2", "--final-statuses", "404, 5xx", "--rate", "0.5", "--burst", "7",
		"--concurrency", "3", "--max-lateness", "1h", "--secret", anySecret, "--paused", "--content-type", "text/plain")
	s.prints(t, "added turns\n", "route", "add", "games", "turns", "--type", "nats", "--backoff", "1s,5s,1m", "--max-deliver", "4")
	s.prints(t, `ID     TYPE  STATE   TARGET
hook   REST  paused  http://127.0.0.1:9/x?a=b
turns  NATS  fires   fires.games.turns
`, "route", "ls", "games")
	const hook = `{"id":"hook","type":"REST","webhook_url":"http://127.0.0.1:9/x?a=b",` +
		`"retry":{"max_attempts":5,"min_backoff_ms":1500,"max_backoff_ms":3600000,"multiplier":3,"jitter":0.5,"max_age_ms":172800000},` +
		`"timeout_ms":2000,"method":"PUT","content_type":"text/plain","headers":{"X-Key":"********","X-Two":"********"},"final_statuses":[404,"5xx"],` +
		`"secret":"********","concurrency":3,"rate_limit":{"per_second":0.5,"burst":7},"max_lateness_ms":3600000,"paused":true}`
	s.prints(t, hook+"\n", "route", "get", "games", "hook", "--json")
	s.prints(t, `{"id":"turns","type":"NATS","max_deliver":4,"backoff_ms":[1000,5000,60000],"stream":"FIRES","subject":"fires.games.turns","consumer":"games_turns"}`+"\n",
		"route", "get", "games", "turns", "--json")
	s.prints(t, hook+"\n", "route", "ls", "games", "--json", "--limit", "1")

	// An edit changes what is given and keeps the rest, secrets too.
	s.prints(t, "changed hook\n", "route", "edit", "games", "hook", "--max-attempts", "6", "--paused=false", "--unset", "rate_limit", "--unset", "retry.max_age_ms")
	s.prints(t, `id                    hook
type                  REST
webhook_url           http://127.0.0.1:9/x?a=b
concurrency           3
content_type          text/plain
final_statuses        [404,"5xx"]
headers.X-Key         ********
headers.X-Two         ********
max_lateness_ms       1h0m0s
method                PUT
retry.jitter          0.5
retry.max_attempts    6
retry.max_backoff_ms  1h0m0s
retry.min_backoff_ms  1.5s
retry.multiplier      3
secret                ********
timeout_ms            2s
state                 fires
`, "route", "get", "games", "hook")
	if key := routeInStore(t, srv, "games.hook"); key.Secret != anySecret || key.Headers["X-Key"] != "a, b" {
		t.Errorf("after the edit the store has %+v, want the secrets as they were", key)
	}

	// Headers are changed one by one: nobody can read back what the others are.
	for _, tt := range []struct {
		args []string
		want map[string]string
	}{
		{[]string{"--header", "x-key: c", "--header", "X.Three: 3"}, map[string]string{"X-Key": "c", "X-Two": "2", "X.three": "3"}},
		{[]string{"--unset", "headers.x-two"}, map[string]string{"X-Key": "c", "X.three": "3"}},
		{[]string{"--unset", "headers.X.Three", "--header", "X-Two: 4"}, map[string]string{"X-Key": "c", "X-Two": "4"}},
		{[]string{"--unset", "headers", "--header", "X-Two: 5"}, map[string]string{"X-Two": "5"}},
		{[]string{"--unset", "headers.X-Two"}, nil},
		{[]string{"--header", "X-Two: 6"}, map[string]string{"X-Two": "6"}},
		{[]string{"--unset", "headers"}, nil},
	} {
		s.prints(t, "changed hook\n", append([]string{"route", "edit", "games", "hook"}, tt.args...)...)
		if got := routeInStore(t, srv, "games.hook").Headers; !maps.Equal(got, tt.want) {
			t.Errorf("after an edit with %q the store has the headers %q, want %q", tt.args, got, tt.want)
		}
	}
	s.prints(t, "changed hook\n", "route", "edit", "games", "hook", "--unset", "secret")
	if key := routeInStore(t, srv, "games.hook"); key.Secret != "" {
		t.Errorf("the secret that was removed is still in the store")
	}
	s.prints(t, "changed turns\n", "route", "edit", "games", "turns", "--max-deliver", "5")

	s.prints(t, "paused hook until ...  (in 1h)\n", "route", "pause", "games", "hook", "--for", "1h")
	s.prints(t, "...hook   REST  paused, ends in 59m59s ...", "route", "ls", "games")
	s.prints(t, "paused hook until it is resumed\n", "route", "pause", "games", "hook")
	s.prints(t, "resumed hook\n", "route", "resume", "games", "hook")

	s.fails(t, 2, "--force does it without asking", "route", "rm", "games", "turns")
	s.env.Terminal = true
	if _, stderr, err := s.run(t, "no\n", "route", "rm", "games", "turns"); command.ExitCode(err) != 1 || !strings.Contains(stderr, "Delete the route turns of games? Its jobs die when they come due. [y/N]") {
		t.Errorf("belfry route rm, and no: %q, %v", stderr, err)
	}
	s.env.Terminal = false
	s.prints(t, "deleted turns\n", "route", "rm", "games", "turns", "--force")
	s.fails(t, 3, "(E106)", "route", "get", "games", "turns")
	s.fails(t, 5, "(E107)", "route", "add", "games", "hook", "--url", "http://127.0.0.1:8/")
}

// storedRoute returns a route as it is stored, with its secrets.
type storedRoute struct {
	Secret  string            `json:"secret"`
	Headers map[string]string `json:"headers"`
}

func routeInStore(t *testing.T, srv *Server, key string) storedRoute {
	t.Helper()
	nc, err := nats.Connect(srv.NATSURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	var r storedRoute
	routes := must(must(jetstream.New(nc)).KeyValue(t.Context(), "routes"))
	if err := json.Unmarshal(must(routes.Get(t.Context(), key)).Value(), &r); err != nil {
		t.Fatalf("the route %s in the store: %v", key, err)
	}
	return r
}

// A secret is printed when Belfry made it up, and never otherwise.
func TestRouteSecrets(t *testing.T) {
	t.Parallel()
	s, _ := shellAt(t)
	s.must(t, "route", "add", "db", "r", "--url", "http://127.0.0.1:9/")
	stdout, stderr, err := s.run(t, "", "route", "rotate", "db", "r")
	made := strings.TrimSpace(stdout)
	if err != nil || job.CheckSecret(made) != nil || strings.Contains(stderr, made) {
		t.Fatalf("belfry route rotate: %q, %q, %v", stdout, stderr, err)
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(anySecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"route", "rotate", "db", "r", "--secret", "@" + file, "--grace", "1h"},
		{"route", "rotate", "db", "r", "--secret", otherSecret, "--json"},
		{"route", "get", "db", "r"},
		{"route", "edit", "db", "r", "--secret", anySecret, "--json"},
		{"route", "edit", "db", "r", "--secret", "hunter2"},
		{"route", "rotate", "db", "r", "--secret", "hunter2"},
		{"route", "add", "db", "s", "--url", "http://127.0.0.1:9/", "--header", "hunter2"},
		{"route", "add", "db", "s", "--url", "http://127.0.0.1:9/", "--header", "Host: hunter2"},
		{"route", "add", "db", "s", "--url", "ftp://u:hunter2@h/"},
	} {
		stdout, stderr, err := s.run(t, "", args...)
		all := stdout + stderr
		if err != nil {
			all += command.Message(err)
		}
		for _, secret := range []string{made, anySecret, otherSecret, "hunter2"} {
			if strings.Contains(all, secret) {
				t.Errorf("belfry %q shows %q: %q", args, secret, all)
			}
		}
	}
}

func TestRouteFromAFile(t *testing.T) {
	t.Parallel()
	s, _ := shellAt(t)
	const route = `{"type":"REST","webhook_url":"http://127.0.0.1:9/","retry":{"max_attempts":3},"timeout_ms":1000,"headers":{"x-a":"0","x-b":"0"}}`
	if _, _, err := s.run(t, route, "route", "add", "db", "r", "--file", "-", "--timeout", "2s", "--multiplier", "2", "--header", "X-A: 1"); err != nil {
		t.Fatal(err)
	}
	s.prints(t, `..."max_attempts":3,..."multiplier":2,..."timeout_ms":2000,"headers":{"X-A":"********","X-B":"********"}}`+"\n", "route", "get", "db", "r", "--json")
	for file, want := range map[string]string{
		`[]`: "--file: ", `null`: "it is null", `{} {}`: "behind the object", `{"id":"other"}`: `its id is not "r"`, `{"nope":1,"type":"NATS"}`: "(E004)",
	} {
		_, _, err := s.run(t, file, "route", "add", "db", "r", "--file", "-")
		if command.ExitCode(err) != 2 || !strings.Contains(err.Error(), want) {
			t.Errorf("with the file %s: %v, want %q", file, err, want)
		}
	}
}

func TestRouteMistakes(t *testing.T) {
	t.Parallel()
	s, srv := shellAt(t)
	s.must(t, "route", "add", "db", "r", "--url", "http://127.0.0.1:9/")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"route", "add", "db", "x"}, "--url is missing, or --type NATS"},
		{[]string{"route", "add", "db", "x", "--type", "MAIL"}, "(E010)"},
		{[]string{"route", "add", "db", "x", "--url", "h", "--timeout", "1"}, `--timeout "1": a duration is accepted`},
		{[]string{"route", "add", "db", "x", "--url", "h", "--timeout", "1h"}, "(E013)"},
		{[]string{"route", "add", "db", "x", "--url", "h", "--jitter", "much"}, `--jitter "much": a number is accepted`},
		{[]string{"route", "add", "db", "x", "--url", "h", "--jitter", "NaN"}, `--jitter "NaN": a number is accepted`},
		{[]string{"route", "add", "db", "x", "--url", "h", "--schedule", "1s,soon"}, `durations are accepted with commas between them`},
		{[]string{"route", "add", "db", "x", "--url", "h", "--paused-until", "soon"}, `--paused-until "soon": a time is accepted`},
		{[]string{"route", "add", "db", "x", "--url", "h", "--final-statuses", "200"}, "(E013)"},
		{[]string{"route", "add", "db", "x", "--type", "NATS", "--timeout", "1s"}, "(E013)"},
		{[]string{"route", "edit", "db", "r"}, "nothing to change"},
		{[]string{"route", "edit", "db", "r", "--unset", "timeout_ms"}, `--unset "timeout_ms": the route does not have it`},
		{[]string{"route", "edit", "db", "r", "--unset", "id"}, `--unset "id"`},
		{[]string{"route", "edit", "db", "r", "--unset", "headers.X"}, `--unset "headers.X": the route does not have it`},
		{[]string{"route", "edit", "db", "r", "--header", "X: 1", "--header", "x: 2"}, "--header number 2 has the name of an earlier one"},
		{[]string{"route", "pause", "db", "r", "--for", "1h", "--until", "+1h"}, "exclude each other"},
		{[]string{"route", "pause", "db", "r", "--for", "0s"}, `--for "0s"`},
		{[]string{"route", "rotate", "db", "r", "--secret", ""}, "--secret is empty"},
		{[]string{"route", "rotate", "db", "r", "--grace", "long"}, `--grace "long"`},
	} {
		s.fails(t, 2, tt.want, tt.args...)
	}
	proxy := proxyTo(t, "http://"+srv.Addr(), http.MethodPut, func() { s.must(t, "route", "pause", "db", "r") })
	s.fails(t, 5, "(E110)", "route", "edit", "db", "r", "--timeout", "1s", "--server", proxy)
}
