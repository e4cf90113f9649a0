package journal

import (
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Access is one way to JetStream: a connection, and the writer on it.
type Access struct {
	NC *nats.Conn
	JS jetstream.JetStream
	W  *Writer

	// Publish is [Requester.Publish]. It overtakes the writes that wait for their turn.
	Publish func(m *nats.Msg, done func(seq uint64, err error))
}
