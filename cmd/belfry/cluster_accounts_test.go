package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"belfry/internal/job"
	"belfry/internal/natstest"
)

// These are the accounts of docs/cluster.md: a team reads and acks its route and calls
// the service for its db. It reaches nothing else of Belfry's, not even by a reply
// subject.
func TestAccountsOfOthers(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "<!-- accounts -->\n```\n")
	conf, _, found := strings.Cut(rest, "```\n<!-- /accounts -->")
	if !found {
		t.Fatal("docs/cluster.md has no accounts between the marks <!-- accounts -->")
	}
	conf = strings.NewReplacer("$BELFRY_PASSWORD", `"p"`, "$TURNS_PASSWORD", `"p"`).Replace(conf)
	opts := &server.Options{}
	if err := opts.ProcessConfigString(conf); err != nil {
		t.Fatal(err)
	}
	ns := natstest.StartWith(t, opts)
	with := func(user string) string { return strings.Replace(ns.ClientURL(), "//", "//"+user+":p@", 1) }
	nc, err := nats.Connect(with("turns"), refused)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	teamReachesItsOwn(t, startServing(t, "--nats-url", with("belfry"), "--partitions", "1"), connect(t, with("belfry")), nc)
}

// Operator JWTs, as the commands of docs/cluster.md make them, have the same effect.
func TestJWTAccountsOfOthers(t *testing.T) {
	t.Parallel()
	belfry, belfryID := newKey(t, nkeys.CreateAccount)
	games, gamesID := newKey(t, nkeys.CreateAccount)
	data, team := withJetStream(belfryID), jwt.NewAccountClaims(gamesID)
	for _, shared := range []struct {
		export, remote, local string
		answers               jwt.ResponseType
	}{
		{"$JS.API.CONSUMER.INFO.FIRES.*", "$JS.API.CONSUMER.INFO.FIRES.games_turns", "JS.belfry.CONSUMER.INFO.FIRES.games_turns", jwt.ResponseTypeSingleton},
		{"$JS.API.CONSUMER.MSG.NEXT.FIRES.*", "$JS.API.CONSUMER.MSG.NEXT.FIRES.games_turns", "JS.belfry.CONSUMER.MSG.NEXT.FIRES.games_turns", jwt.ResponseTypeStream},
		{"$JS.ACK.FIRES.>", "$JS.ACK.FIRES.games_turns.>", "$JS.ACK.FIRES.games_turns.>", jwt.ResponseTypeSingleton},
		{"belfry.job.>", "belfry.job.*.games.*", "belfry.job.*.games.*", jwt.ResponseTypeSingleton},
	} {
		data.Exports.Add(&jwt.Export{Name: shared.export, Subject: jwt.Subject(shared.export), Type: jwt.Service, ResponseType: shared.answers})
		team.Imports.Add(&jwt.Import{Name: shared.remote, Account: belfryID, Subject: jwt.Subject(shared.remote), LocalSubject: jwt.RenamingSubject(shared.local), Type: jwt.Service})
	}
	ns := operatorServer(t, data, team)
	creds := inFile(t, "belfry.creds", userOf(t, belfry))
	nc, err := nats.Connect(ns.ClientURL(), nats.UserCredentials(inFile(t, "turns.creds", userOf(t, games))), refused)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	own, err := nats.Connect(ns.ClientURL(), nats.UserCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	ops, err := jetstream.New(own)
	if err != nil {
		t.Fatal(err)
	}
	teamReachesItsOwn(t, startServing(t, "--nats-url", ns.ClientURL(), "--creds", creds, "--partitions", "1"), ops, nc)
}

// refused is for a client that expects refusals.
var refused = nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})

// teamReachesItsOwn has a user of the team of db games, on nc, do what it may and try
// what it may not.
func teamReachesItsOwn(t *testing.T, p *running, own jetstream.JetStream, nc *nats.Conn) {
	t.Helper()
	for _, db := range []string{"games", "other"} {
		p.must(t, http.MethodPost, "/route/"+db, `{"id":"turns","type":"NATS"}`)
	}
	js, err := jetstream.NewWithAPIPrefix(nc, "JS.belfry")
	if err != nil {
		t.Fatal(err)
	}
	turns, err := js.Consumer(t.Context(), "FIRES", "games_turns")
	if err != nil {
		t.Fatal(err)
	}
	ops := &walk{p: p, ops: own}
	targets := ops.targets(t)
	ops.fill(t, 3*len(targets), hostile[1])
	before := ops.kept(t)
	next := userRequest{"JS.belfry.CONSUMER.MSG.NEXT.FIRES.games_turns", `{"batch":1,"no_wait":true}`}
	send(t, nc, []userRequest{next, {"belfry.job.get.games.walk", `{"id":"0"}`}}, targets)
	ops.unchanged(t, "a team tries all subjects", before, nc, userRequest{"JS.belfry.CONSUMER.INFO.FIRES.games_turns", ""})

	if got := asked(t, nc, "belfry.job.create.games.c", `{"id":"1","trigger_time":1667659342626,"route":"turns","meta":7}`); got != `{"status":"ok"}` {
		t.Error(got)
	}
	for {
		m, err := turns.Next(jetstream.FetchMaxWait(patience))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m.Headers().Get(job.HeaderCollection) == "c" {
			break
		}
	}
	if _, err := js.Consumer(t.Context(), "FIRES", "other_turns"); err == nil {
		t.Error("a team sees the consumer of another")
	}
	if _, err := nc.Request("belfry.job.list.other", nil, patience); err == nil {
		t.Error("a team lists the jobs of another db")
	}
}

// The longest pull is answered, and a longer one is refused: the server would have
// forgotten where its fires go.
func TestLongestPull(t *testing.T) {
	t.Parallel()
	p := startProgram(t, t.TempDir(), "--nats-config", confFile(t, shippedCredentials(t, "p")))
	p.must(t, http.MethodPost, "/route/games", `{"id":"turns","type":"NATS"}`)
	nc := quiet(t, as(t, p, "turns"), "_INBOX_turns")
	if maxPullWait >= replyThreshold {
		t.Errorf("a pull may wait %v, and the way back is kept for %v", maxPullWait, replyThreshold)
	}
	for expires, want := range map[int64]string{maxPullWait.Nanoseconds(): "", maxPullWait.Nanoseconds() + 1e9: "409"} {
		inbox, err := nc.SubscribeSync(nc.NewInbox())
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.PublishRequest("JS.belfry.CONSUMER.MSG.NEXT.FIRES.games_turns", inbox.Subject, fmt.Appendf(nil, `{"batch":1,"expires":%d}`, expires)); err != nil {
			t.Fatal(err)
		}
		asked(t, nc, "JS.belfry.CONSUMER.INFO.FIRES.games_turns", "") // the pull is taken up
		if want == "" {
			p.must(t, http.MethodPost, "/job/games/c", `{"id":"1","trigger_time":1667659342626,"route":"turns"}`)
		}
		m, err := inbox.NextMsg(patience)
		if err != nil || m.Header.Get("Status") != want {
			t.Errorf("a pull of %d ns: %v, %v; want the status %q", expires, m, err, want)
		}
	}
}
