package main

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
)

// asked sends a request to the NATS service, and returns the body of its answer.
func asked(t *testing.T, nc *nats.Conn, subject, body string) string {
	t.Helper()
	got, err := nc.Request(subject, []byte(body), patience)
	if err != nil {
		t.Fatalf("%s %s: %v", subject, body, err)
	}
	return string(got.Data)
}

// A team without HTTP makes a route and a job, and gets its fire.
func TestNATSService(t *testing.T) {
	t.Parallel()
	p := startProgram(t, t.TempDir())
	js := connect(t, p.ready["nats"])
	nc := js.Conn()
	for _, r := range []struct{ subject, body, want string }{
		{"belfry.route.create.games", `{"id":"turns","type":"NATS"}`, `{"status":"ok"}`},
		{"belfry.job.create.games.matches", `{"id":"turn-1","trigger_time":1667659342626,"meta":{"player":"white"},"route":"turns"}`, `{"status":"ok"}`},
		{"belfry.job.create.games.matches", `{"id":"x","trigger_time":1667659342626,"route":"none"}`,
			`{"error":"route not found: \"none\" in db \"games\"","code":"E106"}`},
	} {
		if got := asked(t, nc, r.subject, r.body); got != r.want {
			t.Errorf("%s %s:\n got %s\nwant %s", r.subject, r.body, got, r.want)
		}
	}
	turns, err := js.Consumer(t.Context(), "FIRES", "games_turns")
	if err != nil {
		t.Fatal(err)
	}
	if m, err := turns.Next(jetstream.FetchMaxWait(patience)); err != nil || string(m.Data()) != `{"player":"white"}` {
		t.Fatalf("the fire: %v, %v", m, err)
	}
	p.becomes(t, "/job/games/matches/turn-1", job.Published)

	// Over REST it is the same job.
	if got, want := asked(t, nc, "belfry.job.get.games.matches", `{"id":"turn-1"}`), p.must(t, http.MethodGet, "/job/games/matches/turn-1", ""); got != want {
		t.Errorf("the job over NATS is\n%s\nand over REST\n%s", got, want)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if log := p.wait(t); exitCode(p.err) != 0 || strings.Contains(log, `"level":"ERROR"`) || strings.Contains(log, `"level":"WARN"`) {
		t.Errorf("exit code %d after SIGTERM; log:\n%s", exitCode(p.err), log)
	}
}

// The program of docs/nats.md does what it says.
func TestServiceExample(t *testing.T) {
	t.Parallel()
	p := startProgram(t, t.TempDir())
	asked(t, connect(t, p.ready["nats"]).Conn(), "belfry.route.create.games", `{"id":"turns","type":"NATS"}`)
	cmd := exec.CommandContext(t.Context(), "go", "run", "belfry/docs/examples/service")
	cmd.Env = append(os.Environ(), "NATS_URL="+p.ready["nats"])
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "{\"status\":\"ok\"}\n" {
		t.Errorf("docs/examples/service: %v, %s", err, out)
	}
	p.becomes(t, "/job/games/matches/turn-2", job.Scheduled)
}

// The user of one db, with the permissions that nats.conf shows, calls the
// service for that db and for no other.
func TestUserOfOneDB(t *testing.T) {
	t.Parallel()
	const password = "correct horse"
	p := startProgram(t, t.TempDir(), "--nats-config", confFile(t, shippedCredentials(t, password)))
	with, err := url.Parse(p.ready["nats"])
	if err != nil {
		t.Fatal(err)
	}
	with.User = url.UserPassword("games", password)
	nc, violates := watched(t, with.String(), "_INBOX_games")
	for _, r := range []struct{ subject, body, want string }{
		{"belfry.route.create.games", `{"id":"r","type":"NATS"}`, `{"status":"ok"}`},
		{"belfry.job.create.games.c", `{"id":"1","trigger_time":4102444800000,"route":"r"}`, `{"status":"ok"}`},
		{"belfry.job.fire.games.c", `{"id":"none"}`, `{"error":"job not found: \"none\" in collection \"c\" of db \"games\"","code":"E101"}`},
		{"belfry.job.list.games", `{"status":"dead"}`, `{"jobs":[]}`},
		{"belfry.job.delete.games.c", `{"id":"1"}`, `{"status":"ok"}`},
	} {
		if got := asked(t, nc, r.subject, r.body); got != r.want {
			t.Errorf("%s %s:\n got %s\nwant %s", r.subject, r.body, got, r.want)
		}
	}
	for _, subject := range []string{
		"belfry.job.create.other.c", "belfry.job.get.other.c", "belfry.job.list.other", "belfry.route.get.other", "belfry.route.list.games2",
		"belfry.job.create.other.games", "fires.games.r", "fence.0", "$KV.jobs_0.games.c.1", "$JS.API.STREAM.PURGE.FIRES", "$SRV.PING",
	} {
		violates("publish to", subject, nc.Publish(subject, []byte("{}")))
	}
	for _, subject := range []string{"belfry.>", "belfry.job.create.games.*", "_INBOX.>", "fires.>"} {
		_, err := nc.Subscribe(subject, func(*nats.Msg) {})
		violates("subscribe to", subject, err)
	}
}

// A user who may ask the service about itself cannot have the answer written into a
// bucket or a stream: Belfry answers as a user without that right.
func TestAnswersOfTheServiceAreNotWritten(t *testing.T) {
	t.Parallel()
	p := startProgram(t, t.TempDir(), "--nats-config", confFile(t, `authorization { users: [
		{user: asker, password: p, permissions: {publish: ["$SRV.>", "belfry.>"], subscribe: ["_INBOX.>"]}}, {user: ops, password: p}] }`), "--nats-admin", "ops")
	getFrom(t, p, "/readyz", http.StatusOK, nil) // the epoch and the fence are written
	with, err := url.Parse(p.ready["nats"])
	if err != nil {
		t.Fatal(err)
	}
	with.User = url.UserPassword("asker", "p")
	asker := connect(t, with.String()).Conn()
	if got := asked(t, asker, "belfry.route.create.games", `{"id":"r","type":"NATS"}`); got != `{"status":"ok"}` {
		t.Fatal(got)
	}
	for _, into := range []string{"$KV.routes.games.r", "$KV.jobs_0.games.c.1", "fence.0", "fires.games.r", "dead.games.r", "$JS.API.STREAM.PURGE.FIRES"} {
		for _, subject := range []string{"$SRV.PING", "belfry.job.list.games"} {
			if err := asker.PublishRequest(subject, into, nil); err != nil {
				t.Fatal(err)
			}
		}
		asked(t, asker, "$SRV.PING", "") // comes after it
	}
	with.User = url.UserPassword("ops", "p")
	js := connect(t, with.String())
	want := map[string]uint64{"KV_routes": 1, "KV_jobs_0": 1, "FIRES": 1, "DEAD": 0} // an epoch and a fence
	for stream, messages := range want {
		s, err := js.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.CachedInfo().State.LastSeq; got != messages {
			t.Errorf("%s has got %d messages, want %d", stream, got, messages)
		}
	}
}
