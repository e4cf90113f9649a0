package deadletter

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
	"belfry/streams/jobs"
	"belfry/streams/journal"
	"belfry/streams/routes"
	"belfry/streams/wire"
)

// Advisories copies into DEAD the fires that the subscribers of NATS routes refused or
// let pass too often. JetStream says so only once, in passing. The stream ADVISORIES
// keeps what it said until somebody can act on it.
type Advisories struct {
	js      jetstream.JetStream
	w       *journal.Writer
	inboxes *routes.Inboxes
	dead    *jobs.DeadLetters
	cfg     Config
}

// NewAdvisories returns a reader of advisories on one way to JetStream.
func NewAdvisories(by journal.Access, inboxes *routes.Inboxes, dead *jobs.DeadLetters, cfg Config) *Advisories {
	return &Advisories{js: by.JS, w: by.W, inboxes: inboxes, dead: dead, cfg: cfg}
}

// Run reads advisories and acts on them until ctx ends.
func (a *Advisories) Run(ctx context.Context) {
	journal.RetryForever(ctx, 100*time.Millisecond, 5*time.Second, a.read, func(err error) {
		loglimit.Warn(a.cfg.Log, "couldn't read advisories", "error", err)
	})
}

func (a *Advisories) read(ctx context.Context) error {
	c, err := a.Consumer(ctx)
	if err != nil {
		return err
	}
	for m, err := range journal.MessagesOf(ctx, c, jetstream.PullMaxMessages(64)) {
		if err != nil {
			return err
		}
		if err := a.actOn(ctx, m.Data()); err != nil {
			return err // redelivered after its ack wait
		}
		if err := m.Ack(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// advisory has the fields that Belfry reads of io.nats.jetstream.advisory.v1.max_deliver
// and .terminated.
type advisory struct {
	Type       string `json:"type"`
	Consumer   string `json:"consumer"`
	StreamSeq  uint64 `json:"stream_seq"`
	Deliveries int    `json:"deliveries"`
	Reason     string `json:"reason"`
}

// readAdvisory parses an advisory. Only one that names a consumer and a message is about
// a fire.
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

// maxTold is how many bytes are kept of a subscriber's reason for refusing a fire. The
// reason may be as long as a message, and a letter too long for DEAD would never be
// stored.
const maxTold = 1 << 10

// why returns why the fire is buried.
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

// actOn buries the fire that an advisory is about. It ignores advisories about anything
// but the fires of NATS routes.
func (a *Advisories) actOn(ctx context.Context, data []byte) error {
	defer panics.Recover(a.cfg.Log, "an advisory", a.cfg.Metrics.Panicked) // the result is nil: the advisory is dropped
	said, err := readAdvisory(data)
	if err != nil {
		a.cfg.Log.Warn("advisory dropped", "error", err)
		return nil
	}
	m, found, err := a.w.SeqOnLeader(ctx, a.w.Names.FiresStream(), said.StreamSeq)
	if err != nil {
		return err
	}
	if !found {
		return nil // it has grown too old meanwhile
	}
	f, err := wire.DecodeFire(m.Header, m.Data, m.Seq, time.Time{})
	if err != nil || wire.InboxConsumer(f.RouteKey()) != said.Consumer {
		return nil
	}
	// The workers of a REST route refuse no fire that can be read. An inbox that is gone
	// belonged to a NATS route, which was deleted before its advisories were read.
	box, err := a.inboxes.Find(ctx, f.RouteKey())
	gone := errors.Is(err, jetstream.ErrConsumerNotFound)
	if err == nil && box.Type != job.NATS {
		return nil
	}
	if err != nil && !gone {
		return err
	}
	reason, detail := said.why()
	return a.dead.Bury(ctx, f, reason, detail)
}
