package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/loglimit"
	"belfry/internal/panics"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// buryAdvised copies into DEAD what the subscribers of NATS routes let pass
// too often or refused, until ctx ends. JetStream only says so in passing; the
// stream ADVISORIES keeps what it said, to be acted on once somebody can.
func (s *Store) buryAdvised(ctx context.Context) {
	journal.RetryForever(ctx, 100*time.Millisecond, 5*time.Second, s.readAdvisories, func(err error) {
		loglimit.Warn(s.cfg.Log, "couldn't read advisories", "error", err)
	})
}

func (s *Store) readAdvisories(ctx context.Context) error {
	c, err := buryInbox(ctx, s.js, s.cfg.Names, s.inboxes, s.cfg.Log)
	if err != nil {
		return err
	}
	for m, err := range journal.MessagesOf(ctx, c, jetstream.PullMaxMessages(64)) {
		if err != nil {
			return err
		}
		if err := s.actOn(ctx, m.Data()); err != nil {
			return err // handed out again after its wait
		}
		if err := m.Ack(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// advisory is what is read of io.nats.jetstream.advisory.v1.max_deliver and
// .terminated.
type advisory struct {
	Type       string `json:"type"`
	Consumer   string `json:"consumer"`
	StreamSeq  uint64 `json:"stream_seq"`
	Deliveries int    `json:"deliveries"`
	Reason     string `json:"reason"`
}

// readAdvisory reads one. Only one that names a consumer and a message is about a
// fire.
func readAdvisory(data []byte) (advisory, error) {
	var a advisory
	if err := json.Unmarshal(data, &a); err != nil {
		return advisory{}, err
	}
	if a.Consumer == "" || a.StreamSeq == 0 {
		return advisory{}, errors.New("it names no message of a consumer")
	}
	return a, nil
}

// maxTold is how much is kept of why a subscriber refused a fire, in bytes: it
// may be as long as a message, and what is too long for DEAD would never get in.
const maxTold = 1 << 10

// why says why the fire is buried.
func (a advisory) why() (reason job.Reason, detail string) {
	if !strings.HasSuffix(a.Type, ".terminated") {
		return job.ReasonUnacked, fmt.Sprintf("delivered %d times without an ack", a.Deliveries)
	}
	detail = "refused by its subscriber"
	switch told := a.Reason; {
	case told == "":
	case len(told) > maxTold:
		detail += ": " + strings.ToValidUTF8(told[:maxTold], "") + "…"
	default:
		detail += ": " + told
	}
	return job.ReasonTerminated, detail
}

// actOn buries the fire that an advisory is about. Advisories about anything
// but the fires of NATS routes mean nothing.
func (s *Store) actOn(ctx context.Context, data []byte) error {
	defer panics.Recover(s.cfg.Log, "an advisory", s.cfg.Metrics.Panicked) // nil: it is dropped
	a, err := readAdvisory(data)
	if err != nil {
		s.cfg.Log.Warn("advisory dropped", "error", err)
		return nil
	}
	m, found, err := s.w.SeqOnLeader(ctx, s.cfg.Names.FiresStream(), a.StreamSeq)
	if err != nil {
		return err
	}
	if !found {
		return nil // grown too old meanwhile
	}
	f, err := wire.DecodeFire(m.Header, m.Data, m.Seq, time.Time{})
	if err != nil || wire.InboxConsumer(f.RouteKey()) != a.Consumer {
		return nil
	}
	// The workers of a REST route refuse nothing that can be read. An inbox that is
	// gone was that of a NATS route, which was deleted with advisories left.
	box, err := s.inboxes.Find(ctx, f.RouteKey())
	gone := errors.Is(err, jetstream.ErrConsumerNotFound)
	if err == nil && box.Type != job.NATS {
		return nil
	}
	if err != nil && !gone {
		return err
	}
	reason, detail := a.why()
	return s.dead.Bury(ctx, f, reason, detail)
}
