package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"belfry/internal/job"
	"belfry/streams/wire"
)

// pullHeartbeat is how often the server says that a pull is still open. Two missed
// heartbeats mean that the server that held the pull is gone.
const pullHeartbeat = 2 * time.Second

// These errors say why a pull ended early.
var (
	ErrNoConsumer = errors.New("the consumer does not answer")
	errSilence    = errors.New("the server is silent")
	errReconnect  = errors.New("the connection was lost")
	ErrMaxBytes   = errors.New("the next message is larger than what is left of the pull")
)

// Puller pulls messages from consumers, one pull after the other, on one subscription
// that it keeps. It is for one goroutine.
type Puller struct {
	nc         *nats.Conn
	sub        *nats.Subscription
	reconnects chan nats.Status
	inbox      string
	messages   chan *nats.Msg
	pulls      int
}

// maxPull is how many messages one pull may ask for.
const maxPull = job.MaxConcurrency

// NewPuller returns a puller with a subscription of its own, which Close ends.
func NewPuller(nc *nats.Conn) (*Puller, error) {
	p := &Puller{nc: nc, inbox: nc.NewInbox() + ".", messages: make(chan *nats.Msg, 2*maxPull)}
	var err error
	if p.sub, err = nc.ChanSubscribe(p.inbox+"*", p.messages); err != nil {
		return nil, err
	}
	p.reconnects = nc.StatusChanged(nats.CONNECTED)
	return p, nil
}

// Close ends the interest in messages that were pulled and have not arrived yet, so that
// the server gives them to others.
func (p *Puller) Close() {
	_ = p.sub.Unsubscribe() // fails only without a connection
	p.nc.RemoveStatusListener(p.reconnects)
}

// Pull hands take at most max messages of the consumer, with at most bytes in total; 0
// bytes means no bound. It returns nil after max messages or when wait is over, and
// ErrMaxBytes when the next message does not fit. After another error the puller is
// closed; messages that had arrived by then were handed out.
func (p *Puller) Pull(ctx context.Context, stream, consumer string, max, bytes int, wait time.Duration, take func(*nats.Msg)) error {
	p.forgetReconnects()
	max = min(max, maxPull)
	reply, err := p.request(stream, consumer, max, bytes, wait)
	if err == nil {
		err = p.receive(ctx, reply, max, wait, take)
	}
	if err == nil || errors.Is(err, ErrMaxBytes) {
		return err
	}
	p.Close()
	for {
		select {
		case m := <-p.messages:
			if !strings.HasPrefix(m.Subject, p.inbox) {
				take(m)
			}
			continue
		default:
		}
		return err
	}
}

// forgetReconnects drops the reconnects that happened before a pull.
func (p *Puller) forgetReconnects() {
	for len(p.reconnects) > 0 {
		<-p.reconnects
	}
}

// request asks for messages, and returns the subject on which the server reports the
// status of the request.
func (p *Puller) request(stream, consumer string, max, bytes int, wait time.Duration) (reply string, err error) {
	body, err := json.Marshal(struct {
		Batch     int   `json:"batch"`
		MaxBytes  int   `json:"max_bytes,omitzero"`
		Expires   int64 `json:"expires"` // in nanoseconds
		Heartbeat int64 `json:"idle_heartbeat,omitzero"`
	}{max, bytes, int64(wait), int64(heartbeat(wait))})
	if err != nil {
		return "", err
	}
	p.pulls++
	reply = p.inbox + strconv.Itoa(p.pulls)
	return reply, p.nc.PublishRequest(wire.NextOf(stream, consumer), reply, body)
}

// heartbeat returns 0 for a short pull, whose heartbeat the server would refuse.
func heartbeat(wait time.Duration) time.Duration {
	if wait <= 2*pullHeartbeat {
		return 0
	}
	return pullHeartbeat
}

func (p *Puller) receive(ctx context.Context, reply string, max int, wait time.Duration, take func(*nats.Msg)) error {
	patience := 2 * pullHeartbeat
	if heartbeat(wait) == 0 {
		patience += wait
	}
	silence := time.NewTimer(patience)
	defer silence.Stop()
	for taken := 0; taken < max; {
		select {
		case m := <-p.messages:
			silence.Reset(patience)
			if !strings.HasPrefix(m.Subject, p.inbox) {
				taken++
				take(m)
				continue
			}
			if m.Subject != reply {
				continue // it belongs to a pull that is over
			}
			if over, err := PullStatus(m); over {
				return err
			}
		case <-p.reconnects:
			return errReconnect
		case <-silence.C:
			return errSilence
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// PullStatus reads a status message about a pull. over means that the server sends no
// more messages for it.
func PullStatus(m *nats.Msg) (over bool, err error) {
	switch status := m.Header.Get("Status"); status {
	case "100": // a heartbeat
		return false, nil
	case "404", "408":
		return true, nil
	case "503":
		return true, ErrNoConsumer
	case "409":
		switch strings.ToLower(m.Header.Get("Description")) {
		case "message size exceeds maxbytes":
			return true, ErrMaxBytes
		case "batch completed":
			// Everything asked for has been sent. A server with replicas sends this
			// status before the messages, since they wait until the other replicas have
			// them.
			return false, nil
		}
		fallthrough
	default:
		return true, fmt.Errorf("the pull was ended with status %s %s", status, m.Header.Get("Description"))
	}
}
