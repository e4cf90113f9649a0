package streams_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/waittest"
	"belfry/streams"
)

// A NATS route's fire is redelivered until it is acked, and copied to DEAD
// when its deliveries are exhausted or its subscriber refuses it.
func TestNativeDeadLetters(t *testing.T) {
	f := open(t, streams.Config{NativeAckWait: 100 * time.Millisecond, NativeMaxDeliver: 3})
	f.route("r", job.NATS)
	f.run()
	c, err := f.js.Consumer(t.Context(), "FIRES", "db_r")
	if err != nil {
		t.Fatal(err)
	}
	next := func() jetstream.Msg {
		t.Helper()
		m, err := c.Next(jetstream.FetchMaxWait(waittest.Patience))
		if err != nil {
			t.Fatalf("no delivery: %v", err)
		}
		return m
	}

	acked := newJob("acked", "r", time.Now())
	f.create(acked)
	next()
	if err := next().DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}

	refused := newJob("refused", "r", time.Now())
	f.create(refused)
	if err := next().TermWithReason("not mine"); err != nil {
		t.Fatal(err)
	}

	unread := newJob("unread", "r", time.Now())
	f.create(unread)
	for range 3 {
		next()
	}
	// JetStream notices that the deliveries are exhausted when it looks for more to
	// deliver.
	more, err := c.Fetch(1, jetstream.FetchMaxWait(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for m := range more.Messages() {
		t.Errorf("got a fourth delivery of %s", m.Headers().Get("Belfry-Job-Id"))
	}

	eventually(t, "two dead letters", func() bool { return len(f.messages("DEAD", "dead.>")) == 2 })
	reasons := map[string]string{}
	for _, m := range f.messages("DEAD", "dead.db.r") {
		h := m.Headers()
		reasons[h.Get("Belfry-Job-Id")] = h.Get("Belfry-Reason") + ": " + h.Get("Belfry-Detail")
		if got, want := string(m.Data()), string(unread.Meta); got != want {
			t.Errorf("the dead letter of %s carries %q, want %q", h.Get("Belfry-Job-Id"), got, want)
		}
	}
	if got, want := reasons["refused"], "terminated: refused by its subscriber: not mine"; got != want {
		t.Errorf("the refused job died of %q, want %q", got, want)
	}
	if got, want := reasons["unread"], "deliveries_exhausted: delivered 3 times without an ack"; got != want {
		t.Errorf("the unread job died of %q, want %q", got, want)
	}
}

// A fire that a subscriber refused becomes a dead letter even if its route, and with it
// the inbox, is deleted before Belfry has read the advisory.
func TestDeadLetterOfADeletedRoute(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	stop := f.run()
	f.create(newJob("a", "r", time.Now()))
	c, err := f.js.Consumer(t.Context(), "FIRES", "db_r")
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Next(jetstream.FetchMaxWait(waittest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := m.Term(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the advisory is kept", func() bool { return f.count("ADVISORIES") == 1 })
	if err := f.js.DeleteConsumer(t.Context(), "FIRES", "db_r"); err != nil {
		t.Fatal(err)
	}
	f.reopen(streams.Config{})
	f.run()
	eventually(t, "the dead letter", func() bool { return f.count("DEAD") == 1 })
}
