package main

import (
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
)

// shippedCredentials is nats.conf with its example of an authorization block
// in force, and a user ops beside, for --nats-admin ops.
func shippedCredentials(t *testing.T, password string) string {
	t.Helper()
	data, err := os.ReadFile("../../nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	first, last := slices.Index(lines, "#authorization {"), slices.Index(lines, "#}")
	if first < 0 || last < first {
		t.Fatal("nats.conf has no authorization block between the lines #authorization { and #}")
	}
	for i := first; i <= last; i++ {
		lines[i] = strings.TrimPrefix(lines[i], "#")
	}
	conf := strings.NewReplacer("$TURNS_PASSWORD", `"`+password+`"`, "$GAMES_PASSWORD", `"`+password+`"`).Replace(strings.Join(lines, "\n"))
	return strings.Replace(conf, "users: [", `users: [ {user: ops, password: "`+password+`"}`, 1)
}

// watched returns a connection, and a check that its last attempt violates its
// permissions.
func watched(t *testing.T, url, inbox string) (nc *nats.Conn, violates func(what, subject string, err error)) {
	t.Helper()
	violations := make(chan string, 100)
	nc, err := nats.Connect(url, nats.CustomInboxPrefix(inbox),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err.Error() }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, func(what, subject string, err error) {
		t.Helper()
		if err == nil {
			err = nc.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
		select {
		case said := <-violations:
			if !strings.Contains(strings.ToLower(said), "permissions violation") || !strings.Contains(said, `"`+subject+`"`) {
				t.Errorf("%s %s: the server says %q, want a violation of permissions", what, subject, said)
			}
		case <-time.After(patience):
			t.Errorf("it may %s %s", what, subject)
		}
	}
}

// The subscriber of one route, with the permissions that nats.conf shows, reads
// and acks that route and can do nothing else; Belfry itself goes on.
func TestSubscriberOfOneRoute(t *testing.T) {
	t.Parallel()
	const password = "correct horse"
	p := startProgram(t, t.TempDir(), "--nats-config", confFile(t, shippedCredentials(t, password)), "--nats-admin", "ops")
	for _, id := range []string{"turns", "other"} {
		p.must(t, http.MethodPost, "/route/games", `{"id":"`+id+`","type":"NATS"}`)
		p.must(t, http.MethodPost, "/job/games/c", `{"id":"`+id+`","trigger_time":1667659342626,"route":"`+id+`"}`)
	}
	if _, err := nats.Connect(p.ready["nats"]); err == nil {
		t.Error("a client without credentials is let in")
	}
	with, err := url.Parse(p.ready["nats"])
	if err != nil {
		t.Fatal(err)
	}
	with.User = url.UserPassword("turns", password)
	nc, violates := watched(t, with.String(), "_INBOX_turns")
	js, err := jetstream.NewWithAPIPrefix(nc, "JS.belfry")
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.Consumer(t.Context(), "FIRES", "games_turns")
	if err != nil {
		t.Fatalf("the subscriber cannot see its consumer: %v", err)
	}
	m, err := consumer.Next(jetstream.FetchMaxWait(patience))
	if err != nil {
		t.Fatalf("the subscriber gets no fire: %v", err)
	}
	if got := m.Headers().Get(job.HeaderJobID); got != "turns" {
		t.Errorf("it gets the job %q, want turns", got)
	}
	if err := m.DoubleAck(t.Context()); err != nil {
		t.Errorf("it cannot ack: %v", err)
	}

	for _, subject := range []string{
		"fires.games.turns", "fires.games.other", "fence.0", "dead.games.turns", "attempts.games.c.turns",
		"$KV.jobs_0.games.c.byhand", "$KV.routes.games.turns", "$KV.tokens.x", "$KV.belfry.lease.0",
		"$JS.API.CONSUMER.INFO.FIRES.games_turns", "$JS.API.CONSUMER.MSG.NEXT.FIRES.games_turns",
		"JS.belfry.CONSUMER.INFO.FIRES.games_other", "JS.belfry.CONSUMER.MSG.NEXT.FIRES.games_other", "JS.belfry.STREAM.INFO.FIRES",
		"$JS.ACK.FIRES.games_other.1.1.1.1.0",
		"$JS.API.CONSUMER.CREATE.FIRES.mine", "$JS.API.CONSUMER.DELETE.FIRES.games_turns",
		"$JS.API.STREAM.MSG.GET.FIRES", "$JS.API.DIRECT.GET.FIRES", "$JS.API.STREAM.PURGE.FIRES", "$JS.API.STREAM.DELETE.KV_jobs_0",
		"$JS.API.DIRECT.GET.KV_tokens", "_INBOX.x",
		"belfry.job.create.games.c", "belfry.job.get.games.c", "belfry.job.list.games", "belfry.route.get.games", "$SRV.PING", "$SRV.INFO.belfry",
	} {
		violates("publish to", subject, nc.Publish(subject, []byte("{}")))
	}
	for _, subject := range []string{"fires.>", ">", "_INBOX.>", "$JS.ACK.>", "$KV.>", "belfry.>", "belfry.job.create.games.c"} {
		_, err := nc.Subscribe(subject, func(*nats.Msg) {})
		violates("subscribe to", subject, err)
	}

	// The jobs of both routes came through, and the next one does.
	p.becomes(t, "/job/games/c/other", job.Published)
	p.must(t, http.MethodPost, "/job/games/c", `{"id":"next","trigger_time":1667659342626,"route":"turns"}`)
	if m, err = consumer.Next(jetstream.FetchMaxWait(patience)); err != nil || m.Headers().Get(job.HeaderJobID) != "next" {
		t.Errorf("the next job: %v, %v", m, err)
	}
	p.becomes(t, "/job/games/c/next", job.Published)

	with.User = url.UserPassword("ops", password)
	fires, err := connect(t, with.String()).Stream(t.Context(), "FIRES")
	if err != nil {
		t.Fatal(err)
	}
	info, err := fires.Info(t.Context(), jetstream.WithSubjectFilter("fires.>"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]uint64{"fires.games.turns": 2, "fires.games.other": 1}
	if diff := cmp.Diff(want, info.State.Subjects); diff != "" {
		t.Errorf("the messages in FIRES (-want +got):\n%s", diff)
	}
}
