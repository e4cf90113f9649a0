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
)

// buryAdvised copies into DEAD what the subscribers of NATS routes let pass
// too often or refused, until ctx ends. JetStream only says so in passing; the
// stream ADVISORIES keeps what it said until it was acted on.
func (s *Store) buryAdvised(ctx context.Context) {
	pause := newBackOff(100*time.Millisecond, 5*time.Second)
	for ctx.Err() == nil {
		err := s.readAdvisories(ctx)
		if ctx.Err() == nil {
			s.cfg.Log.Warn("couldn't read advisories", "error", err)
			sleep(ctx, pause.NextBackOff())
		}
	}
}

func (s *Store) readAdvisories(ctx context.Context) error {
	c, err := s.js.CreateOrUpdateConsumer(ctx, advisoryStream, jetstream.ConsumerConfig{
		Durable: buryConsumer, AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second,
	})
	if err != nil {
		return err
	}
	messages, err := c.Messages(jetstream.PullMaxMessages(64))
	if err != nil {
		return err
	}
	defer messages.Stop()
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	for {
		m, err := messages.Next()
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

// actOn buries the fire that an advisory is about. Advisories about anything
// but the fires of NATS routes mean nothing.
func (s *Store) actOn(ctx context.Context, data []byte) error {
	var a advisory
	if err := json.Unmarshal(data, &a); err != nil {
		s.cfg.Log.Warn("advisory dropped", "error", err)
		return nil
	}
	m, found, err := s.jobs.w.seqOnLeader(ctx, FiresStream, a.StreamSeq)
	if err != nil {
		return err
	}
	if !found {
		return nil // grown too old meanwhile
	}
	f, err := decodeFire(m.Header, m.Data, m.Seq, time.Time{})
	if err != nil || inboxConsumer(f.RouteKey()) != a.Consumer {
		return nil
	}
	box, err := s.inboxes.find(ctx, f.RouteKey())
	if errors.Is(err, jetstream.ErrConsumerNotFound) || err == nil && box.Type != job.NATS {
		return nil
	}
	if err != nil {
		return err
	}
	reason, detail := job.ReasonUnacked, fmt.Sprintf("delivered %d times without an ack", a.Deliveries)
	if strings.HasSuffix(a.Type, ".terminated") {
		reason, detail = job.ReasonTerminated, "refused by its subscriber"
		if a.Reason != "" {
			detail += ": " + a.Reason
		}
	}
	return s.dead.bury(ctx, f, reason, detail)
}
