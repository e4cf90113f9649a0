package natstest

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/waittest"
)

// Messages returns everything on a subject of a stream, in order.
func Messages(t testing.TB, js jetstream.JetStream, stream, subject string) []jetstream.Msg {
	t.Helper()
	c, err := js.OrderedConsumer(t.Context(), stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		t.Fatalf("couldn't read %s: %v", stream, err)
	}
	info, err := c.Info(t.Context())
	if err != nil {
		t.Fatalf("couldn't read %s: %v", stream, err)
	}
	if info.NumPending == 0 {
		return nil
	}
	it, err := c.Messages()
	if err != nil {
		t.Fatalf("couldn't read %s: %v", stream, err)
	}
	defer it.Stop()
	var all []jetstream.Msg
	for {
		m, err := it.Next(jetstream.NextMaxWait(waittest.Patience))
		if err != nil {
			t.Fatalf("couldn't read %s: got %d messages, then %v", stream, len(all), err)
		}
		meta, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
		if meta.NumPending == 0 {
			return all
		}
	}
}
