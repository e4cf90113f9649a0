package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/proc"
	"belfry/internal/waittest"
)

func userConf(permissions string) string {
	return `authorization { users: [ {user: u, password: p, permissions: {` + permissions + `}}, {user: ops, password: p} ] }`
}

// A configuration that would mean something else than before there were two
// accounts is refused, with what to write instead.
func TestUsersRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, conf string
		admins     string
		want       []string
	}{
		{"a pull", userConf(`publish: ["$JS.API.CONSUMER.MSG.NEXT.FIRES.games_turns"]`), "",
			[]string{`user "u"`, `write "JS.belfry.CONSUMER.MSG.NEXT.FIRES.games_turns"`}},
		{"all pulls", userConf(`publish: "$JS.API.CONSUMER.MSG.NEXT.FIRES.>"`), "", []string{`write "JS.belfry.CONSUMER.MSG.NEXT.FIRES.>"`}},
		{"the state", userConf(`publish: ["$JS.API.CONSUMER.INFO.FIRES.*"]`), "", []string{`write "JS.belfry.CONSUMER.INFO.FIRES.*"`}},
		{"another request", userConf(`publish: ["$JS.API.STREAM.INFO.FIRES"]`), "", []string{`"$JS.API.STREAM.INFO.FIRES"`, "leave it out"}},
		{"the API", userConf(`publish: ["$JS.API.>"]`), "", []string{`write "JS.belfry.>"`}},
		{"all of JetStream", userConf(`publish: ["$JS.>"]`), "", []string{`write "$JS.ACK.FIRES.>" and "JS.belfry.>"`}},
		{"a denied pull", userConf(`publish: {allow: ">", deny: ["$JS.API.CONSUMER.MSG.NEXT.FIRES.games_turns"]}`), "",
			[]string{`write "JS.belfry.CONSUMER.MSG.NEXT.FIRES.games_turns"`}},
		{"a wildcard in the place of API", userConf(`publish: ["$JS.*.CONSUMER.MSG.NEXT.FIRES.games_turns"]`), "", []string{"leave it out"}},
		{"for all users", `authorization { default_permissions: {publish: "$JS.API.>"}, users: [ {user: u, password: p} ] }`, "", []string{`user "u"`}},
		{"an nkey", `authorization { users: [ {nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4, permissions: {publish: "$JS.API.>"}} ] }`, "",
			[]string{`user "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"`}},
		{"a leaf node", `authorization { users: [ {user: u, password: p, allowed_connection_types: [LEAFNODE]} ] }`, "", []string{`user "u"`, "LEAFNODE"}},
		{"leaf nodes as users", userConf(``) + "\nleafnodes { listen: \"127.0.0.1:7422\" }", "", []string{"leafnodes needs an authorization block of its own"}},
		{"a leaf node in their account", userConf(``) + `
			leafnodes { listen: "127.0.0.1:7422", authorization { user: leaf, password: p, account: USERS } }`, "", []string{"leafnodes", "leave account out"}},
		{"a leaf node's user in their account", userConf(``) + `
			leafnodes { listen: "127.0.0.1:7422", authorization { users: [ {user: a, password: p}, {user: leaf, password: p, account: USERS} ] } }`, "", []string{"leafnodes", "leave account out"}},
		{"a hub for their account", userConf(``) + `
			leafnodes { remotes: [ {url: "nats://127.0.0.1:7422", account: USERS} ] }`, "", []string{"leafnodes", "leave account out"}},
		{"a system account", userConf(``) + "\nsystem_account: USERS", "", []string{"leave accounts", "system_account"}},
		{"an admin with permissions", userConf(`publish: ["x"]`), "u", []string{`--nats-admin "u"`, "leave them out"}},
		{"an admin who is none", userConf(`publish: ["x"]`), "ops,nobody", []string{`--nats-admin "nobody"`, "no such user"}},
		{"an admin of one user", `authorization { user: u, password: p }`, "u", []string{`--nats-admin "u"`, "has no users"}},
		{"auth callout", `authorization { users: [ {user: u, password: p} ], auth_callout { issuer: "ABJHLOVMPA4CI6R5KLNGOB4GSLNIY7IOUPAJC4YFNDLQVIOBYQGUWVLA", auth_users: [u] } }`, "",
			[]string{"leave accounts, operator, trusted, system_account and auth_callout out"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := natsOptions(t.Context(), Config{NATSConfig: confFile(t, tc.conf), NATSAdmins: tc.admins}.withDefaults())
			for _, want := range tc.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("natsOptions for %s: error %v, want %s in it", tc.conf, err, want)
				}
			}
		})
	}
	good := userConf(`publish: {allow: [">", "JS.belfry.>", "$JS.ACK.FIRES.games_turns.>", "belfry.job.*.games"], deny: "$KV.>"}`)
	if _, err := natsOptions(t.Context(), Config{NATSConfig: confFile(t, good), NATSAdmins: "ops"}.withDefaults()); err != nil {
		t.Errorf("natsOptions for %s: %v", good, err)
	}
}

// Data stays where it is, whether there are users or not: a job made without
// users fires with them, and the other way round.
func TestUsersComeAndGo(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	users := []string{"--nats-config", confFile(t, shippedCredentials(t, "p"))}
	var p *running
	for i, args := range [][]string{nil, users, nil, users} {
		p = startProgram(t, data, args...)
		if i == 0 {
			p.must(t, http.MethodPost, "/route/games", `{"id":"turns","type":"NATS"}`)
		}
		for before := range i {
			p.must(t, http.MethodGet, fmt.Sprintf("/job/games/c/%d", before), "")
		}
		id := fmt.Sprint(i)
		p.must(t, http.MethodPost, "/job/games/c", `{"id":"`+id+`","trigger_time":1667659342626,"route":"turns"}`)
		p.becomes(t, "/job/games/c/"+id, job.Published)

		at, prefix := p.ready["nats"], "$JS.API"
		if args != nil {
			at, prefix = as(t, p, "turns"), "JS.belfry"
		}
		route := p.must(t, http.MethodGet, "/route/games/turns", "")
		if named := strings.Contains(route, `"js_api_prefix":"JS.belfry"`); named != (args != nil) {
			t.Errorf("with %v the route is %s", args, route)
		}
		p.must(t, http.MethodPut, "/route/games/turns", route)
		nc, err := nats.Connect(at, nats.CustomInboxPrefix("_INBOX_turns"))
		if err != nil {
			t.Fatal(err)
		}
		js, err := jetstream.NewWithAPIPrefix(nc, prefix)
		if err != nil {
			t.Fatal(err)
		}
		c, err := js.Consumer(t.Context(), "FIRES", "games_turns")
		if err != nil {
			t.Fatal(err)
		}
		if limit := c.CachedInfo().Config.MaxRequestExpires; args != nil && limit != maxPullWait || args == nil && limit != 0 {
			t.Errorf("with %v a pull of an inbox may wait %v", args, limit)
		}
		for { // an ack may be younger than the last flush before the kill, and its fire comes again
			m, err := c.Next(jetstream.FetchMaxWait(patience))
			if err != nil {
				t.Fatal(err)
			}
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
			if m.Headers().Get(job.HeaderJobID) == id {
				break
			}
		}
		nc.Close()
		p.kill(t)
	}
}

// A user of the clients is in the same account over a websocket, and over MQTT.
func TestUsersOnOtherListeners(t *testing.T) {
	t.Parallel()
	ws, mqtt := freePort(t), freePort(t)
	conf := shippedCredentials(t, "p") + fmt.Sprintf("\nwebsocket { listen: %q, no_tls: true }\nmqtt { listen: %q }\n", ws, mqtt)
	p := startProgram(t, t.TempDir(), "--nats-config", confFile(t, conf), "--nats-admin", "ops")
	p.must(t, http.MethodPost, "/route/games", `{"id":"turns","type":"NATS"}`)

	nc, err := nats.Connect("ws://turns:p@"+ws, nats.CustomInboxPrefix("_INBOX_turns"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	asked(t, nc, "JS.belfry.CONSUMER.INFO.FIRES.games_turns", "")
	if err := nc.PublishRequest("JS.belfry.CONSUMER.INFO.FIRES.games_turns", "$KV.routes.other.web", nil); err != nil {
		t.Fatal(err)
	}

	for password, want := range map[string]byte{"p": 0, "wrong": 5} { // not authorised
		if got := mqttConnect(t, mqtt, "games", password); got != want {
			t.Errorf("MQTT: a connection of games with the password %q is answered %d, want %d", password, got, want)
		}
	}
	asked(t, nc, "JS.belfry.CONSUMER.INFO.FIRES.games_turns", "") // comes after the first
	ops := connect(t, as(t, p, "ops"))
	routes, err := ops.Stream(t.Context(), "KV_routes")
	if err != nil {
		t.Fatal(err)
	}
	if n := routes.CachedInfo().State.LastSeq; n != 1 {
		t.Errorf("the bucket of the routes has got %d messages, want that of turns alone", n)
	}
	waittest.Eventually(t, func() string {
		for _, name := range streamNames(t, as(t, p, "ops")) {
			if strings.HasPrefix(name, "$MQTT") {
				return "MQTT keeps its sessions beside Belfry's data: " + name
			}
		}
		return ""
	})
}

// MQTT turns JetStream on in the account of the users, and has it to itself: a
// consumer there sends what it has with the reply subject $JS.ACK.…, which the
// server refuses to clients, and so acks what is another's in Belfry's account.
func TestMQTTHasJetStreamToItself(t *testing.T) {
	t.Parallel()
	conf := `authorization { users: [
		{user: all, password: p}, {user: most, password: p, permissions: {publish: {allow: ">", deny: "x"}, subscribe: ">"}},
		{user: own, password: p, permissions: {subscribe: "_INBOX.>"}}, {user: ops, password: p}
	] }` + fmt.Sprintf("\nmqtt { listen: %q }\n", freePort(t))
	p := startProgram(t, t.TempDir(), "--nats-config", confFile(t, conf), "--nats-admin", "ops")
	for _, name := range []string{"all", "most", "own"} {
		nc, violates := watched(t, as(t, p, name), "_INBOX")
		for _, subject := range []string{"$JS.API.STREAM.CREATE.FIRES", "$JS.API.CONSUMER.CREATE.$MQTT_msgs.c", "$JS.API.INFO"} {
			violates("publish, as "+name+", to", subject, nc.Publish(subject, []byte(`{"name":"FIRES","subjects":["x.>"]}`)))
		}
	}
	if names := streamNames(t, as(t, p, "ops")); !slices.Contains(names, "FIRES") {
		t.Errorf("an admin sees the streams %v", names)
	}
}

// The server soon forgets where a single answer goes. It forgets where the fires of a
// pull go only when no pull waits any more.
func TestThresholds(t *testing.T) {
	t.Parallel()
	opts, err := natsOptions(t.Context(), Config{NATSConfig: confFile(t, userConf(``))}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[string]time.Duration{
		"$JS.API.CONSUMER.MSG.NEXT.FIRES.*": replyThreshold, "$SRV.>": replyThreshold,
		"$JS.API.CONSUMER.INFO.FIRES.*": requestThreshold, "$JS.ACK.FIRES.>": requestThreshold, "belfry.>": requestThreshold,
	} {
		if got, err := opts.Accounts[0].ServiceExportResponseThreshold(subject); got != want || err != nil {
			t.Errorf("the way back of %s is kept for %v, %v; want %v", subject, got, err, want)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	addrs, err := proc.FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	return addrs[0]
}

// mqttConnect sends the CONNECT of MQTT 3.1.1, and returns the code of the answer.
func mqttConnect(t *testing.T, addr, user, password string) byte {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text := func(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }
	const cleanUserPassword = 0b1100_0010
	body := text("MQTT") + string([]byte{4, cleanUserPassword, 0, 60}) + text("tester") + text(user) + text(password)
	if _, err := conn.Write(append([]byte{0x10, byte(len(body))}, body...)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(conn, answer); err != nil {
		t.Fatalf("MQTT: no answer to CONNECT: %v", err)
	}
	return answer[3]
}
