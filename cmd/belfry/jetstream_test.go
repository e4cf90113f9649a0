package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/natstest"
	"belfry/internal/waittest"
)

// jetStream connects to the process's NATS server like any client.
func (p *running) jetStream(t *testing.T) jetstream.JetStream {
	t.Helper()
	return connect(t, p.ready["nats"])
}

func connect(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatalf("couldn't connect to %s: %v", url, err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func streamNames(t *testing.T, url string) []string {
	t.Helper()
	var names []string
	lister := connect(t, url).StreamNames(t.Context())
	for name := range lister.Name() {
		names = append(names, name)
	}
	if err := lister.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

// settled waits until nothing is left in the route's inbox: neither a fire that waits
// nor one that somebody works on.
func settled(t *testing.T, js jetstream.JetStream, consumer string) {
	t.Helper()
	c, err := js.Consumer(t.Context(), "FIRES", consumer)
	if err != nil {
		t.Fatalf("the consumer %s of FIRES: %v", consumer, err)
	}
	waittest.Eventually(t, func() string {
		info, err := c.Info(t.Context())
		if err != nil || info.NumPending > 0 || info.NumAckPending > 0 {
			return fmt.Sprintf("consumer %s: %+v (%v), want nothing pending", consumer, info, err)
		}
		return ""
	})
}

// message is one message of a stream.
type message struct {
	at      time.Time // when it was stored
	subject string
	header  nats.Header
	data    string
}

// messages returns everything on a subject of a stream, in order.
func messages(t *testing.T, js jetstream.JetStream, stream, subject string) []message {
	t.Helper()
	var all []message
	for _, m := range natstest.Messages(t, js, stream, subject) {
		meta, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, message{meta.Timestamp, m.Subject(), m.Headers(), string(m.Data())})
	}
	return all
}
