package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"belfry/api/client"
	"belfry/internal/fault"
	"belfry/internal/job"
	"belfry/internal/natstest"
	"belfry/internal/waittest"
	"belfry/streams/manifest"
	"belfry/streams/wire"
)

// neighbour is a belfry that shares a NATS account with others, and the names that it
// must show.
type neighbour struct {
	*running
	names wire.Names
	in    *receiver
	sub   client.Route
}

// work makes routes and jobs that every neighbour has under the same names, over REST
// and over the NATS service.
func (n *neighbour) work(t *testing.T, nc *nats.Conn) {
	t.Helper()
	n.in = newReceiver(t, func(_ *http.Request, p post) int {
		if p.job == "refused" {
			return http.StatusGone
		}
		return http.StatusOK
	})
	n.in.route(t, n.running, "web")
	n.in.route(t, n.running, "gone")
	n.must(t, http.MethodPost, "/route/db", `{"id":"turns","type":"NATS"}`)
	if err := json.Unmarshal([]byte(n.must(t, http.MethodGet, "/route/db/turns", "")), &n.sub); err != nil {
		t.Fatal(err)
	}
	create := n.names.Subject("belfry.job.create.db.coll")
	for id, route := range map[string]string{"hook": "web", "refused": "gone", "turn": "turns"} {
		body := fmt.Sprintf(`{"id":%q,"trigger_time":1667659342626,"meta":%q,"route":%q}`, id, n.names, route)
		if got := asked(t, nc, create, body); got != `{"status":"ok"}` {
			t.Fatalf("%s %s: %s", create, body, got)
		}
	}
	for _, id := range []string{"later", "cancelled"} {
		n.must(t, http.MethodPost, "/job/db/coll", fmt.Sprintf(`{"id":%q,"trigger_time":%d,"meta":%q,"route":"web"}`, id, time.Now().Add(time.Hour).UnixMilli(), n.names))
	}
	n.must(t, http.MethodDelete, "/job/db/coll/cancelled", "")
}

// has checks that a neighbour has exactly what it made.
func (n *neighbour) has(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for id, want := range map[string]job.Status{
		"hook": job.Delivered, "refused": job.Dead, "turn": job.Published, "later": job.Scheduled, "cancelled": job.Cancelled,
	} {
		n.becomes(t, "/job/db/coll/"+id, want)
		answer := asked(t, js.Conn(), n.names.Subject("belfry.job.get.db.coll"), fmt.Sprintf(`{"id":%q}`, id))
		if !strings.Contains(answer, fmt.Sprintf(`"meta":%q`, n.names)) {
			t.Errorf("%q: the job %s over NATS is %s", n.names, id, answer)
		}
	}
	if jobs := n.in.jobs(); len(jobs) != 2 {
		t.Errorf("%q: its receiver got %v, want two jobs", n.names, jobs)
	} else {
		for id, posts := range jobs {
			if len(posts) != 1 || posts[0].meta != fmt.Sprintf("%q", n.names) {
				t.Errorf("%q: its receiver got %+v of job %s, want its own once", n.names, posts, id)
			}
		}
	}
	if n.sub.Stream != n.names.FiresStream() || n.sub.Subject != n.names.Subject("fires.db.turns") || n.sub.Consumer != "db_turns" {
		t.Errorf("%q: its route shows %+v", n.names, n.sub)
	}
	turns := messages(t, js, n.sub.Stream, n.sub.Subject)
	if len(turns) != 1 || turns[0].data != fmt.Sprintf("%q", n.names) {
		t.Errorf("%q: %v on %s, want its own fire once", n.names, turns, n.sub.Subject)
	}
	if _, err := js.Consumer(t.Context(), n.sub.Stream, n.sub.Consumer); err != nil {
		t.Errorf("%q: the consumer of its route: %v", n.names, err)
	}
	var dead client.Letters
	n.answer(t, http.MethodGet, "/dead/db", "", &dead)
	if len(dead.Dead) != 1 {
		t.Errorf("%q: the dead letters are %v, want one", n.names, dead)
	}
}

// Two belfrys on one account, with the same routes and jobs, each fire their own to
// their own receivers, and answer for their own over NATS; a backup of one goes into a
// third. When all that one has is removed, the other goes on.
func TestPrefixesShareAnAccount(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func() (*running, string){
		"a server of others": func() (*running, string) {
			url := natstest.StartWith(t, &server.Options{}).ClientURL()
			return startServing(t, "--nats-url", url, "--partitions", "2"), url
		},
		"the embedded server of one": func() (*running, string) {
			p := startProgram(t, t.TempDir())
			return p, p.ready["nats"]
		},
		"one with another prefix": func() (*running, string) {
			p := startProgram(t, t.TempDir(), "--asset-prefix", "team1-b")
			return p, p.ready["nats"]
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, url := start()
			one := &neighbour{running: first}
			if strings.Contains(name, "prefix") {
				one.names = "team1-b"
			}
			js := connect(t, url)
			one.work(t, js.Conn())
			one.has(t, js)
			other := &neighbour{running: startServing(t, "--nats-url", url, "--partitions", "1", "--asset-prefix", "team1"), names: "team1"}
			other.work(t, js.Conn())
			other.has(t, js)
			one.has(t, js)

			// The service of each has a name of its own, and answers with it.
			for _, n := range []*neighbour{one, other} {
				found := services(t, js.Conn(), n.names.Service("belfry"))
				if len(found) != 1 || len(found[0].Endpoints) == 0 {
					t.Fatalf("%q: $SRV.INFO is answered by %+v, want one service", n.names, found)
				}
				for _, e := range found[0].Endpoints {
					if !strings.HasPrefix(e.Subject, n.names.Subject("belfry.")) {
						t.Errorf("%q: an endpoint listens on %s", n.names, e.Subject)
					}
				}
			}
			if all := services(t, js.Conn(), ""); len(all) != 2 {
				t.Errorf("$SRV.INFO is answered by %+v, want both", all)
			}

			file := filepath.Join(t.TempDir(), "backup")
			if _, _, err := belfryCommand(t, one.at(), "backup", file); err != nil {
				t.Fatal(err)
			}
			third := startServing(t, "--nats-url", url, "--partitions", "1", "--asset-prefix", "third")
			if _, said, err := belfryCommand(t, third.at(), "restore", file); err != nil {
				t.Fatalf("couldn't restore the backup of %q: %v %s", one.names, err, said)
			}
			if got := third.get(t, "/job/db/coll/later"); got.Status != client.StatusScheduled {
				t.Errorf("the job that was restored is %+v", got)
			}
			one.has(t, js)
			other.has(t, js)

			for _, stream := range streamNames(t, url) {
				if strings.HasPrefix(stream, "team1_") || strings.HasPrefix(stream, "KV_team1_") {
					if err := js.DeleteStream(t.Context(), stream); err != nil {
						t.Fatal(err)
					}
				}
			}
			waittest.Eventually(t, func() string {
				if a, err := other.do(http.MethodGet, "/readyz", ""); err != nil || a.status != http.StatusServiceUnavailable {
					return fmt.Sprintf("the one without streams is ready: %v, %v", a, err)
				}
				return ""
			})
			one.has(t, js)
			one.must(t, http.MethodGet, "/readyz", "")
			one.must(t, http.MethodPost, "/job/db/coll", `{"id":"last","trigger_time":1667659342626,"route":"turns"}`)
			one.becomes(t, "/job/db/coll/last", job.Published)
		})
	}
}

// services asks for the services of a name, or of all names, and waits until no more
// answers come.
func services(t *testing.T, nc *nats.Conn, name string) (all []micro.Info) {
	t.Helper()
	subject := strings.TrimSuffix("$SRV.INFO."+name, ".")
	inbox, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	defer inbox.Unsubscribe()
	if err := nc.PublishRequest(subject, inbox.Subject, nil); err != nil {
		t.Fatal(err)
	}
	for wait := patience; ; wait = time.Second {
		m, err := inbox.NextMsg(wait)
		if err != nil {
			return all
		}
		var info micro.Info
		if err := json.Unmarshal(m.Data, &info); err != nil {
			t.Fatalf("%s is answered %s: %v", subject, m.Data, err)
		}
		all = append(all, info)
	}
}

// The users of an embedded server with a prefix reach what has that prefix, by the names
// that GET of the route shows. The service writes no answer into a stream, neither its
// own Belfry's nor another's on the server.
func TestUsersWithAPrefix(t *testing.T) {
	t.Parallel()
	conf := userConf(`publish: ["team1.JS.belfry.CONSUMER.INFO.team1_FIRES.games_turns",
		"team1.JS.belfry.CONSUMER.MSG.NEXT.team1_FIRES.games_turns", "$JS.ACK.team1_FIRES.games_turns.>", "team1.belfry.*.*.games", "team1.belfry.*.*.games.*"],
		subscribe: "_INBOX.>"`)
	p := startProgram(t, t.TempDir(), "--asset-prefix", "team1", "--nats-config", confFile(t, conf), "--nats-admin", "ops")
	nc, violates := watched(t, as(t, p, "u"), "_INBOX")
	if got := asked(t, nc, "team1.belfry.route.create.games", `{"id":"turns","type":"NATS"}`); got != `{"status":"ok"}` {
		t.Fatal(got)
	}
	var sub client.Route
	if err := json.Unmarshal([]byte(p.must(t, http.MethodGet, "/route/games/turns", "")), &sub); err != nil {
		t.Fatal(err)
	}
	if sub.JSAPIPrefix != "team1.JS.belfry" || sub.Stream != "team1_FIRES" || sub.Subject != "team1.fires.games.turns" {
		t.Errorf("the route shows %+v", sub)
	}
	js, err := jetstream.NewWithAPIPrefix(nc, sub.JSAPIPrefix)
	if err != nil {
		t.Fatal(err)
	}
	turns, err := js.Consumer(t.Context(), sub.Stream, sub.Consumer)
	if err != nil {
		t.Fatal(err)
	}
	if got := asked(t, nc, "team1.belfry.job.create.games.c", `{"id":"1","trigger_time":1667659342626,"route":"turns"}`); got != `{"status":"ok"}` {
		t.Fatal(got)
	}
	m, err := turns.Next(jetstream.FetchMaxWait(patience))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.becomes(t, "/job/games/c/1", job.Published)
	violates("publish to", "belfry.job.list.games", nc.Publish("belfry.job.list.games", nil))
	before := p.must(t, http.MethodGet, "/job/games", "")
	guest := startServing(t, "--nats-url", as(t, p, "ops"), "--partitions", "1")
	guest.must(t, http.MethodPost, "/route/games", `{"id":"turns","type":"NATS"}`)
	ops := connect(t, as(t, p, "ops"))
	kept := func() (all []string) {
		for _, stream := range []string{"FIRES", "DEAD", "ATTEMPTS", "team1_FIRES", "team1_DEAD", "team1_ATTEMPTS"} {
			for _, m := range messages(t, ops, stream, ">") {
				if !strings.HasSuffix(m.subject, ".probe") {
					all = append(all, m.subject)
				}
			}
		}
		return all
	}
	stored := kept()
	for _, reply := range []string{"fires.games.turns", "dead.games.turns", "attempts.games.c.1", "team1.fires.games.turns", "team1.dead.games.turns", "team1.attempts.games.c.1"} {
		for _, subject := range []string{"$SRV.PING.team1_belfry", "team1.belfry.job.list.games"} {
			if err := ops.Conn().PublishRequest(subject, reply, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	asked(t, ops.Conn(), "$SRV.PING.team1_belfry", "") // answered after them
	asked(t, ops.Conn(), "team1.belfry.job.list.games", "")
	if now := kept(); !slices.Equal(now, stored) {
		t.Errorf("the streams have %v, before the requests %v", now, stored)
	}
	if after := p.must(t, http.MethodGet, "/job/games", ""); after != before {
		t.Errorf("the jobs are %s, before they were %s", after, before)
	}
}

// A start on data of another prefix is refused, with and without a manifest, and leaves
// the data whole.
func TestDataOfAnotherPrefix(t *testing.T) {
	t.Parallel()
	data := stored(t, 3, true)
	refuses := func(words string, args ...string) {
		t.Helper()
		before := contentsOf(t, data)
		refusesStart(t, nil, data, []string{fault.OtherPrefix, words}, args...)
		if after := contentsOf(t, data); after != before {
			t.Errorf("a refused start left\n%s\nbefore it there was\n%s", after, before)
		}
	}
	without := func(try func()) {
		t.Helper()
		file := filepath.Join(data, manifest.FileName)
		if err := os.Rename(file, file+".away"); err != nil {
			t.Fatal(err)
		}
		try()
		if err := os.Rename(file+".away", file); err != nil {
			t.Fatal(err)
		}
	}
	refuses("a start without --asset-prefix", "--asset-prefix", "team1")
	without(func() { refuses("a start without --asset-prefix", "--asset-prefix", "team1") })
	p := startProgram(t, data, "--existing-data")
	if n := countJobs(t, p); n != 3 {
		t.Errorf("%d jobs, want 3", n)
	}
	stop(t, p)

	data = filepath.Join(t.TempDir(), "data")
	p = startProgram(t, data, "--asset-prefix", "team1")
	p.must(t, http.MethodPost, "/route/games", `{"id":"r","type":"NATS"}`)
	p.must(t, http.MethodPost, "/job/games/c", `{"id":"1","trigger_time":4102444800000,"route":"r"}`)
	stop(t, p)
	for _, args := range [][]string{nil, {"--asset-prefix", "team2"}, {"--asset-prefix", "TEAM1"}} {
		refuses("a start --asset-prefix team1", args...)
		without(func() { refuses("a start --asset-prefix team1", args...) })
	}
	p = startProgram(t, data, "--asset-prefix", "team1", "--existing-data")
	p.must(t, http.MethodGet, "/job/games/c/1", "")
	stop(t, p)
}
