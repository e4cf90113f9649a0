package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/api/client"
	"belfry/internal/job"
	"belfry/internal/waittest"
)

// A subscriber needs nothing but plain nats.go and the answer to a GET of its
// route.
func TestNATSRoute(t *testing.T) {
	t.Parallel()
	p := startProgram(t, t.TempDir())
	p.must(t, http.MethodPost, "/route/db", `{"id":"game server","type":"NATS"}`)
	var sub client.Route
	if err := json.Unmarshal([]byte(p.must(t, http.MethodGet, "/route/db/game%20server", "")), &sub); err != nil {
		t.Fatal(err)
	}
	js := p.jetStream(t)
	consumer, err := js.Consumer(t.Context(), sub.Stream, sub.Consumer)
	if err != nil {
		t.Fatalf("the consumer that GET /route shows, %+v: %v", sub, err)
	}
	incoming, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer incoming.Stop()
	receive := func() jetstream.Msg {
		t.Helper()
		m, err := incoming.Next(jetstream.NextMaxWait(patience))
		if err != nil {
			t.Fatalf("no fire: %v", err)
		}
		return m
	}

	due := time.Now().Add(500 * time.Millisecond).Truncate(time.Millisecond)
	one := plannedJob{id: "näxt", due: due, meta: `{ "a" : [1, 2] }`}
	p.create(t, []plannedJob{one}, "game server")
	m := receive()
	if late := time.Since(due); late < 0 {
		t.Errorf("the fire came %v early", -late)
	}
	if m.Subject() != sub.Subject || string(m.Data()) != one.meta {
		t.Errorf("the fire is on %s with %s, want on %s with %s", m.Subject(), m.Data(), sub.Subject, one.meta)
	}
	id := m.Headers().Get(job.HeaderID)
	want := map[string]string{
		job.HeaderID:          id,
		"Belfry-Fire-Id":      id,
		job.HeaderDB:          "db",
		job.HeaderCollection:  "coll",
		job.HeaderJobID:       "n=C3=A4xt",
		job.HeaderRoute:       "game=20server",
		job.HeaderTriggerTime: strconv.FormatInt(due.UnixMilli(), 10),
		job.HeaderAttempt:     "1",
	}
	got := map[string]string{}
	for name := range want {
		got[name] = m.Headers().Get(name)
	}
	if diff := cmp.Diff(want, got); diff != "" || id == "" {
		t.Errorf("headers of the fire (-want +got):\n%s", diff)
	}
	if at, err := strconv.ParseInt(m.Headers().Get(job.HeaderTimestamp), 10, 64); err != nil || at < due.Unix() {
		t.Errorf("%s is %q, want unix seconds from %d on", job.HeaderTimestamp, m.Headers().Get(job.HeaderTimestamp), due.Unix())
	}
	p.becomes(t, "/job/db/coll/n%C3%A4xt", job.Published)

	// A fire that is not acked comes again, with the same id.
	if err := m.Nak(); err != nil {
		t.Fatal(err)
	}
	again := receive()
	if got := again.Headers().Get(job.HeaderID); got != id {
		t.Errorf("the fire came again as %s, want %s", got, id)
	}
	if err := again.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(t, js, sub.Consumer)

	// A fire that the subscriber refuses goes to DEAD.
	p.create(t, []plannedJob{{id: "two", due: time.Now(), meta: `{}`}}, "game server")
	refused := receive()
	if err := refused.TermWithReason("no such game"); err != nil {
		t.Fatal(err)
	}
	var letters []message
	waittest.Eventually(t, func() string {
		if letters = messages(t, js, "DEAD", "dead.>"); len(letters) == 0 {
			return "DEAD is empty, want the refused fire"
		}
		return ""
	})
	for name, want := range map[string]string{
		job.HeaderID: refused.Headers().Get(job.HeaderID), job.HeaderJobID: "two", "Belfry-Reason": string(job.ReasonTerminated),
	} {
		if got := letters[0].header.Get(name); got != want {
			t.Errorf("the letter in DEAD has %s %q, want %q", name, got, want)
		}
	}
}
