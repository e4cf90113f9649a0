package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/waittest"
)

// A reply subject is no permission: the server answers a request wherever its
// sender says. The walk has a subscriber and a caller of the service try every
// subject that keeps or changes anything, directly and as the reply subject of
// each request that they may send.

// walk is a belfry with the users of nats.conf, and the state that must not change.
type walk struct {
	p   *running
	ops jetstream.JetStream // may look at everything
}

// The routes: the subscriber's own, another NATS route with a fire that nobody
// has taken, and one of another db.
func startWalk(t *testing.T) *walk {
	t.Helper()
	p := startProgram(t, t.TempDir(), "--nats-config", confFile(t, shippedCredentials(t, "p")), "--nats-admin", "ops")
	p.must(t, http.MethodPost, "/route/games", `{"id":"turns","type":"NATS"}`)
	p.must(t, http.MethodPost, "/route/games", `{"id":"other","type":"NATS"}`)
	p.must(t, http.MethodPost, "/route/other", `{"id":"r","type":"NATS"}`)
	p.must(t, http.MethodPost, "/job/other/c", `{"id":"future","trigger_time":4102444800000,"route":"r"}`)
	for _, id := range []string{"1", "2", "3"} {
		p.must(t, http.MethodPost, "/job/games/c", `{"id":"`+id+`","trigger_time":1667659342626,"route":"other"}`)
		p.becomes(t, "/job/games/c/"+id, "published")
	}
	w := &walk{p: p, ops: connect(t, as(t, p, "ops"))}
	// One fire of the other route is out, so that there is something to ack for it.
	c, err := w.ops.Consumer(t.Context(), "FIRES", "games_other")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(jetstream.FetchMaxWait(patience)); err != nil {
		t.Fatal(err)
	}
	return w
}

// as returns the URL of a user of nats.conf.
func as(t *testing.T, p *running, user string) string {
	t.Helper()
	u, err := url.Parse(p.ready["nats"])
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, "p")
	return u.String()
}

// targets are the subjects on which a message keeps or changes something.
func (w *walk) targets(t *testing.T) (all []string) {
	t.Helper()
	names := w.ops.StreamNames(t.Context())
	for name := range names.Name() {
		all = append(all, "$JS.API.STREAM.INFO."+name)
		for _, verb := range []string{"DELETE", "PURGE", "UPDATE", "CREATE", "SNAPSHOT", "RESTORE", "MSG.DELETE", "MSG.GET", "LEADER.STEPDOWN", "PEER.REMOVE"} {
			all = append(all, "$JS.API.STREAM."+verb+"."+name)
		}
		all = append(all, "$JS.API.DIRECT.GET."+name, "$JS.API.CONSUMER.CREATE."+name, "$JS.API.CONSUMER.LIST."+name)
	}
	if err := names.Err(); err != nil {
		t.Fatal(err)
	}
	for _, consumer := range []string{"games_turns", "games_other", "other_r"} {
		for _, verb := range []string{"DELETE", "CREATE", "DURABLE.CREATE", "PAUSE", "UNPIN", "RESET", "LEADER.STEPDOWN", "MSG.NEXT", "INFO"} {
			all = append(all, "$JS.API.CONSUMER."+verb+".FIRES."+consumer)
		}
	}
	all = append(all,
		"JS.belfry.CONSUMER.INFO.FIRES.games_other", "JS.belfry.CONSUMER.MSG.NEXT.FIRES.games_other", "JS.belfry.CONSUMER.MSG.NEXT.FIRES.other_r",
		"JS.belfry.STREAM.DELETE.FIRES", "$JS.ACK.FIRES.games_other.1.2.1.1.0", "$JS.ACK.FIRES.other_r.1.1.1.1.0",
		"$JS.ACK.ADVISORIES.bury.1.1.1.1.0", "$JS.API.CONSUMER.MSG.NEXT.ADVISORIES.bury", "$JS.API.CONSUMER.DELETE.ADVISORIES.bury",
		"$KV.jobs_0.other.c.V1", "$KV.jobs_0.other.c.future", "$KV.jobs_0.epoch", "$KV.routes.other.web", "$KV.routes.other.r",
		"$KV.tokens.x", "$KV.gates.rate.other.r", "$KV.gates.breaker.other.r", "$KV.belfry.partitions", "$KV.belfry.lease.0", "$KV.belfry.restore",
		"fires.other.r", "fires.games.other", "fires.games.turns", "fence.0", "dead.other.r", "attempts.other.c.future",
		"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.FIRES.games_other", "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.FIRES.games_other",
		"belfry.job.create.other.c", "belfry.job.update.other.c", "belfry.job.delete.other.c", "belfry.job.fire.other.c",
		"belfry.route.create.other", "belfry.route.update.other", "belfry.route.delete.other", "belfry.route.pause.other",
		"$SRV.PING", "$JS.API.ACCOUNT.INFO", "$JS.API.META.LEADER.STEPDOWN", "$SYS.REQ.SERVER.PING.CONNZ",
	)
	return all
}

// kept is everything that others than the walker rely on: what each stream has
// of others' subjects, and how each consumer stands.
func (w *walk) kept(t *testing.T) map[string]string {
	t.Helper()
	kept := map[string]string{}
	streams := w.ops.ListStreams(t.Context())
	for info := range streams.Info() {
		stream, err := w.ops.Stream(t.Context(), info.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		config, err := json.Marshal(info.Config)
		if err != nil {
			t.Fatal(err)
		}
		kept["config of "+info.Config.Name] = string(config)
		full, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(">"))
		if err != nil {
			t.Fatal(err)
		}
		for subject := range full.State.Subjects {
			switch {
			case strings.HasPrefix(subject, "$KV.belfry.lease."), strings.HasPrefix(subject, "$KV.belfry.node."), strings.HasPrefix(subject, "$KV.belfry.clock."), strings.HasPrefix(subject, "$KV.belfry.floors."), strings.HasSuffix(subject, ".probe"): // written every few seconds
			case strings.HasSuffix(subject, ".walk") || strings.Contains(subject, ".games.walk."), subject == "fires.games.turns": // the walker's own
			default:
				m, err := stream.GetLastMsgForSubject(t.Context(), subject)
				if err != nil {
					t.Fatalf("%s: %v", subject, err)
				}
				kept[subject] = fmt.Sprint(m.Sequence, full.State.Subjects[subject])
				if subject == "$KV.belfry.manifest" {
					kept[subject] = lasting(t, m.Data)
				}
			}
		}
		consumers := stream.ListConsumers(t.Context())
		for c := range consumers.Info() {
			if c.Config.Durable != "" && c.Name != "games_turns" {
				kept["consumer "+c.Stream+" "+c.Name] = fmt.Sprint(c.Delivered.Consumer, c.AckFloor.Consumer, c.NumAckPending, c.Config.FilterSubject, c.PauseRemaining)
			}
		}
		if err := consumers.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := streams.Err(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/job/other", "/route/other", "/route/games", "/dead/games", "/dead/other"} {
		kept[path] = w.p.must(t, http.MethodGet, path, "")
	}
	return kept
}

// lasting is what a manifest says but for how far the streams are, which is written
// down every few seconds.
func lasting(t *testing.T, manifest []byte) string {
	t.Helper()
	var sealed struct{ Manifest map[string]any }
	if err := json.Unmarshal(manifest, &sealed); err != nil {
		t.Fatalf("the manifest is %s: %v", manifest, err)
	}
	delete(sealed.Manifest, "known")
	return fmt.Sprint(sealed.Manifest)
}

// fill has n fires on the walker's route, with this meta, and no others.
func (w *walk) fill(t *testing.T, n int, meta string) {
	t.Helper()
	fires, err := w.ops.Stream(t.Context(), "FIRES")
	if err != nil {
		t.Fatal(err)
	}
	if err := fires.Purge(t.Context(), jetstream.WithPurgeSubject("fires.games.turns")); err != nil {
		t.Fatal(err)
	}
	var jobs strings.Builder
	for i := range n {
		fmt.Fprintf(&jobs, `{"id":"%d","trigger_time":%d,"meta":%s,"route":"turns"}`+"\n", i, w.next(), meta)
	}
	w.p.must(t, http.MethodPost, "/bulk/games/walk", jobs.String())
	waittest.Eventually(t, func() string {
		for _, status := range []string{"scheduled", "firing"} {
			if left := w.p.must(t, http.MethodGet, "/job/games/walk?limit=1&status="+status, ""); !strings.Contains(left, `"jobs":[]`) {
				return "jobs wait: " + left
			}
		}
		return ""
	})
}

var walked atomic.Int64 // so that each job of the walk is another one

func (w *walk) next() int64 { return 1667659342626 + walked.Add(1) }

// userRequest is what a user may send.
type userRequest struct{ subject, body string }

// send sends every request with every target as its reply subject, and a message
// to every target. What the permissions refuse is no error here.
func send(t *testing.T, nc *nats.Conn, requests []userRequest, targets []string) {
	t.Helper()
	for _, target := range targets {
		for _, body := range []string{"", "{}"} {
			if err := nc.Publish(target, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range requests {
			if err := nc.PublishRequest(r.subject, target, []byte(r.body)); err != nil {
				t.Fatal(err)
			}
			traced := &nats.Msg{Subject: r.subject, Reply: nc.NewInbox(), Data: []byte(r.body), Header: nats.Header{"Nats-Trace-Dest": {target}}}
			if err := nc.PublishMsg(traced); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// quiet is a connection that expects to be refused.
func quiet(t *testing.T, url, inbox string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.CustomInboxPrefix(inbox), refused)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// unchanged compares, once the server has answered last, a request that it takes
// up after all others.
func (w *walk) unchanged(t *testing.T, when string, before map[string]string, nc *nats.Conn, last userRequest) {
	t.Helper()
	asked(t, nc, last.subject, last.body)
	if diff := cmp.Diff(before, w.kept(t)); diff != "" {
		t.Errorf("%s, (-before +after the walk):\n%s", when, diff)
	}
}

// hostile are metas that do something where they arrive as a request.
var hostile = []string{
	`{"batch":1,"no_wait":true}`, `{"id":"evil","trigger_time":4102444800000,"route":"r"}`, `{"id":"future"}`, `{"id":"r"}`,
	`{"id":"evil","type":"NATS"}`, `{"seq":1}`, `null`, `{"name":"ATTEMPTS","subjects":["x"],"retention":"limits","storage":"memory","num_replicas":1}`,
}

func TestReplySubjectsOfSubscriber(t *testing.T) {
	t.Parallel()
	plays(t)
	w := startWalk(t)
	nc := quiet(t, as(t, w.p, "turns"), "_INBOX_turns")
	var requests []userRequest
	for _, body := range []string{"", "1", `{"batch":1,"no_wait":true}`, `{"batch":1,"expires":1000000}`, `{"batch":3,"no_wait":true,"max_bytes":1}`} {
		requests = append(requests, userRequest{"JS.belfry.CONSUMER.MSG.NEXT.FIRES.games_turns", body})
	}
	requests = append(requests, userRequest{"JS.belfry.CONSUMER.INFO.FIRES.games_turns", ""})
	targets, info := w.targets(t), requests[len(requests)-1]

	before := w.kept(t)
	send(t, nc, requests, targets)
	w.unchanged(t, "its consumer is empty", before, nc, info)

	w.fill(t, 300, `"plain"`)
	before = w.kept(t)
	send(t, nc, requests, targets)
	acks := []userRequest{}
	for seq := 1; seq < 40; seq++ {
		own := "$JS.ACK.FIRES.games_turns.1." + strconv.Itoa(seq) + "." + strconv.Itoa(seq) + ".1.0"
		acks = append(acks, userRequest{own, "+NXT"}, userRequest{own, `+NXT {"batch":2,"no_wait":true}`}, userRequest{own, "+WPI"}, userRequest{own, "-NAK"})
	}
	send(t, nc, acks, slices.Concat(targets[:10], targets[len(targets)-40:]))
	w.unchanged(t, "its consumer is full", before, nc, info)

	for _, meta := range hostile {
		w.fill(t, len(targets)+len(targets)/4, meta) // each target gets one
		before = w.kept(t)
		for _, target := range targets {
			if err := nc.PublishRequest("JS.belfry.CONSUMER.MSG.NEXT.FIRES.games_turns", target, []byte(`{"batch":1,"no_wait":true}`)); err != nil {
				t.Fatal(err)
			}
		}
		w.unchanged(t, "its fires have the meta "+meta, before, nc, info)
	}
}

func TestReplySubjectsOfServiceCaller(t *testing.T) {
	t.Parallel()
	plays(t)
	w := startWalk(t)
	nc := quiet(t, as(t, w.p, "games"), "_INBOX_games")
	w.fill(t, 3, hostile[1])
	requests := []userRequest{
		{"belfry.job.get.games.walk", `{"id":"0"}`}, {"belfry.job.list.games", ""}, {"belfry.job.list.games.walk", `{"limit":1}`},
		{"belfry.route.get.games", `{"id":"turns"}`}, {"belfry.route.list.games", ""}, {"belfry.job.get.games.walk", `{`},
		{"belfry.job.create.games.walk", `{"id":"mine","trigger_time":4102444800000,"route":"turns"}`},
		{"belfry.job.delete.games.walk", `{"id":"none"}`}, {"belfry.job.fire.games.walk", `{"id":"none"}`},
	}
	before := w.kept(t)
	send(t, nc, requests, w.targets(t))
	w.unchanged(t, "it calls the service", before, nc, requests[0])
}

// The walk can fail: in Belfry's own account the same request does what the
// subject says.
func TestReplySubjectsReachInTheDataAccount(t *testing.T) {
	t.Parallel()
	w := startWalk(t)
	nc := w.ops.Conn()
	for _, reply := range []string{"$KV.routes.other.web", "$JS.API.STREAM.DELETE.ATTEMPTS"} {
		if err := nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.FIRES.games_turns", reply, []byte(`{"batch":1,"no_wait":true}`)); err != nil {
			t.Fatal(err)
		}
	}
	waittest.Eventually(t, func() string {
		if _, err := w.ops.Stream(context.WithoutCancel(t.Context()), "ATTEMPTS"); err == nil {
			return "the stream ATTEMPTS is still there"
		}
		return ""
	})
}
