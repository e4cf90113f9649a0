package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// receiver takes the fires of both routes: it is an HTTP server, and a subscriber with
// plain nats.go that acks its messages.
type receiver struct {
	server   *http.Server
	listener net.Listener
	failing  atomic.Bool // every POST is answered 503
	secret   string      // signs every POST
	verifier *standardwebhooks.Webhook
	nc       *nats.Conn
	js       jetstream.JetStream

	mu       sync.Mutex // guards the fields below
	arrivals []arrival
	refused  map[string]bool // the webhook-ids that were answered 503 once
}

func newReceiver(natsURL string) (*receiver, error) {
	secret := make([]byte, 32)
	rand.Read(secret) // it never returns an error
	r := &receiver{refused: map[string]bool{}, secret: "whsec_" + base64.StdEncoding.EncodeToString(secret)}
	var err error
	if r.verifier, err = standardwebhooks.NewWebhook(r.secret); err != nil {
		return nil, err
	}
	if r.nc, err = nats.Connect(natsURL, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond)); err != nil {
		return nil, err
	}
	if r.js, err = jetstream.New(r.nc); err != nil {
		return nil, err
	}
	if r.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	r.server = &http.Server{Handler: http.HandlerFunc(r.post)}
	go r.server.Serve(r.listener) // until close; a failure shows as lost jobs
	return r, nil
}

func (r *receiver) url() string { return "http://" + r.listener.Addr().String() + "/" }

func (r *receiver) close() {
	r.server.Close()
	r.nc.Close()
}

// subscribe hands the fires of a consumer over until the receiver is closed.
func (r *receiver) subscribe(ctx context.Context, consumer string) error {
	if _, err := r.js.Consumer(ctx, "FIRES", consumer); err != nil {
		return err
	}
	go func() {
		for ctx.Err() == nil && !r.nc.IsClosed() {
			if err := r.consume(ctx, consumer); err != nil {
				_ = wait(ctx, 100*time.Millisecond) // the consumer is removed, or no server answers
			}
		}
	}()
	return nil
}

// consume hands fires over until the consumer is removed. Other temporary faults resolve
// by themselves: Consume asks again.
func (r *receiver) consume(ctx context.Context, consumer string) error {
	c, err := r.js.Consumer(ctx, "FIRES", consumer)
	if err != nil {
		return err
	}
	consuming, err := c.Consume(r.message, jetstream.PullHeartbeat(time.Second), jetstream.PullExpiry(5*time.Second))
	if err != nil {
		return err
	}
	defer consuming.Stop()
	select {
	case <-consuming.Closed():
	case <-ctx.Done():
	}
	return nil
}

func (r *receiver) post(w http.ResponseWriter, req *http.Request) {
	at := time.Now()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the sender died within it
	}
	a := newArrival(body, req.Header.Get, at)
	a.forged = r.verifier.Verify(body, req.Header) != nil
	if r.note(a, body) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (r *receiver) message(m jetstream.Msg) {
	at := time.Now()
	a := newArrival(m.Data(), nats.Header(m.Headers()).Get, at)
	if meta, err := m.Metadata(); err == nil {
		a.seq = meta.Sequence.Stream
	}
	r.note(a, nil)
	_ = m.Ack() // if it fails, the message comes again
}

// note records an arrival, and reports whether to refuse it: the first try of a job that
// asks for it, and each POST while the receiver fails.
func (r *receiver) note(a arrival, body []byte) bool {
	var c content
	r.mu.Lock()
	defer r.mu.Unlock()
	if json.Unmarshal(body, &c) == nil && c.Refuse && !r.refused[a.fireID] {
		r.refused[a.fireID] = true
		a.refused = true
	}
	a.refused = a.refused || body != nil && r.failing.Load()
	r.arrivals = append(r.arrivals, a)
	return a.refused
}

func newArrival(body []byte, header func(string) string, at time.Time) arrival {
	a := arrival{job: header("Belfry-Job-Id"), fireID: header("webhook-id"), attempt: header("Belfry-Attempt"), at: at}
	a.content = contentOf(body, a.job)
	a.trigger, _ = strconv.ParseInt(header("Belfry-Trigger-Time"), 10, 64)
	return a
}

// garbled is the content of a body that is not one of ours, or is another job's.
const garbled = -2

func contentOf(body []byte, job string) int {
	var c content
	if err := json.Unmarshal(body, &c); err != nil || c.Job != job {
		return garbled
	}
	return c.Step
}

// arrived returns the arrivals so far, in order.
func (r *receiver) arrived() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]arrival(nil), r.arrivals...)
}

// stored reads the stream FIRES from its beginning to its end.
func (r *receiver) stored(ctx context.Context) ([]fire, error) {
	stream, err := r.js.Stream(ctx, "FIRES")
	if err != nil {
		return nil, err
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"fires.>"}})
	if err != nil {
		return nil, err
	}
	info, err := consumer.Info(ctx)
	if err != nil || info.NumPending == 0 {
		return nil, err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	var all []fire
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, fmt.Errorf("couldn't read FIRES: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, err
		}
		h := nats.Header(m.Headers())
		f := fire{
			seq: meta.Sequence.Stream, job: h.Get("Belfry-Job-Id"), fireID: h.Get("Belfry-Fire-Id"),
			attempt: h.Get("Belfry-Attempt"), claim: h.Get("Belfry-Claim"),
		}
		f.content = contentOf(m.Data(), f.job)
		all = append(all, f)
		if meta.NumPending == 0 {
			return all, nil
		}
	}
}
