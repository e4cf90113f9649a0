package main

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/logtest"
	"belfry/internal/waittest"
)

// One user asks without end, and the server keeps the way back of each request:
// that user is disconnected, and the others stay.
func TestTooManyReplies(t *testing.T) {
	t.Parallel()
	cfg := Config{Data: t.TempDir(), NATSListen: ":-1", NATSConfig: confFile(t, shippedCredentials(t, "p"))}.withDefaults()
	opts, err := natsOptions(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	log := &logtest.Log{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	e, err := startEmbedded(t.Context(), opts, "", logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.server.Shutdown)
	const limit = 1000
	guard := newReplyGuard(e.server, limit, logger)
	data := e.server.GlobalAccount()

	conn, err := e.connection(storeConn)
	if err != nil {
		t.Fatal(err)
	}
	own, err := nats.Connect("", conn...)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	js, err := jetstream.New(own)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "FIRES", Subjects: []string{"fires.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateConsumer(t.Context(), "FIRES", jetstream.ConsumerConfig{Durable: "games_turns", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}

	users := map[string]*nats.Conn{}
	for _, user := range []string{"turns", "games"} {
		nc, err := nats.Connect(strings.Replace(e.server.ClientURL(), "//", "//"+user+":p@", 1), nats.NoReconnect(), nats.CustomInboxPrefix("_INBOX_"+user))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		users[user] = nc
	}
	turns := users["turns"]
	if _, err := turns.Subscribe("_INBOX_turns.>", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	ask := func(n int) {
		t.Helper()
		for range n {
			if err := turns.PublishRequest("JS.belfry.CONSUMER.MSG.NEXT.FIRES.games_turns", turns.NewInbox(), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := turns.Flush(); err != nil {
			t.Fatal(err)
		}
		guard.look()
	}
	ask(limit - 100)
	guard.look()
	if !turns.IsConnected() {
		t.Fatalf("a user is disconnected with %d replies, want at more than %d", data.NumPendingAllResponses(), limit)
	}
	ask(200)
	waittest.Eventually(t, func() string {
		if kept := data.NumPendingAllResponses(); turns.IsConnected() || kept > 0 {
			return fmt.Sprintf("connected: %v, %d replies", turns.IsConnected(), kept)
		}
		return ""
	})
	guard.look()
	if !users["games"].IsConnected() {
		t.Error("the other user is disconnected, too")
	}
	if !strings.Contains(log.String(), "user=turns") {
		t.Errorf("nothing tells who was disconnected:\n%s", log)
	}
}
