package audit

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// update changes a stream. If the stream is to keep less of each subject, nats-server
// removes the excess by counts that it took before, while others may write. It then also
// removes the newest message of a subject that is written meanwhile. So the stream
// accepts no writes for that moment. A crash in between leaves a stream with another
// subject, which the next audit or start undoes like any other edit.
func (m *Mender) update(ctx context.Context, is, next jetstream.StreamConfig) error {
	if next.MaxMsgsPerSubject <= 0 || is.MaxMsgsPerSubject > 0 && is.MaxMsgsPerSubject <= next.MaxMsgsPerSubject {
		_, err := m.js.UpdateStream(ctx, next)
		return err
	}
	quiet := is
	quiet.Subjects = []string{m.names.MendingSubject(is.Name)}
	if _, err := m.js.UpdateStream(ctx, quiet); err != nil {
		return err
	}
	cut := next
	cut.Subjects = quiet.Subjects
	_, refused := m.js.UpdateStream(ctx, cut)
	if refused != nil {
		next = is
	}
	if _, err := m.js.UpdateStream(ctx, next); err != nil {
		return err
	}
	return refused
}
