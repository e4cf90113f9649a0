package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/metrics"
	"belfry/internal/panics"
	"belfry/streams/wire"
)

// AnswerWait is how long Belfry waits for one answer of JetStream. It is longer than a
// busy machine takes, since resolving the outcome of a write costs more than waiting for
// its answer.
const AnswerWait = 5 * time.Second

// Requester sends messages and hands each answer to a callback. The answers arrive on one
// subscription, so that thousands can be pending without a goroutine, a timer and a
// channel for each. It is safe for concurrent use.
type Requester struct {
	nc      *nats.Conn
	prefix  string // of the subjects that answers arrive on
	Names   wire.Names
	log     *slog.Logger
	metrics *metrics.Streams

	mu       sync.Mutex // guards what follows
	waiting  map[uint64]question
	last     uint64 // the number of the last request
	oldest   uint64 // no request before this one is pending
	sweeping bool   // a sweep is scheduled
}

type question struct {
	done  func(*nats.Msg, error)
	until time.Time
}

// These errors say why there is no answer.
var (
	ErrNotConnected = errors.New("not connected to NATS")
	errTimeout      = errors.New("no answer in time")
)

// NewRequester returns a requester with a subscription for its answers, which lives as
// long as the connection.
func NewRequester(nc *nats.Conn, log *slog.Logger, metrics *metrics.Streams) (*Requester, error) {
	a := &Requester{nc: nc, prefix: nc.NewInbox() + ".", log: log, metrics: metrics, waiting: map[uint64]question{}, oldest: 1}
	sub, err := nc.Subscribe(a.prefix+"*", a.answered)
	if err != nil {
		return nil, err
	}
	// An answer is never dropped; there are no more answers than requests.
	return a, sub.SetPendingLimits(-1, -1)
}

// Ask sends m and has done called once, with the answer or with an error: ErrNotConnected
// when m was not sent, [nats.ErrNoResponders] when nobody took it, errTimeout, or an
// error of the connection. done must not block, since it would hold up other answers.
func (a *Requester) Ask(m *nats.Msg, done func(*nats.Msg, error)) {
	if !a.nc.IsConnected() {
		go a.tell(done, nil, ErrNotConnected)
		return
	}
	n := a.expect(done)
	// m stays the caller's, so a copy is sent.
	sent := nats.Msg{Subject: m.Subject, Reply: a.prefix + strconv.FormatUint(n, 36), Header: m.Header, Data: m.Data}
	if err := a.nc.PublishMsg(&sent); err != nil && a.take(n) != nil {
		go a.tell(done, nil, err)
	}
}

// expect numbers a request and bounds the wait for its answer.
func (a *Requester) expect(done func(*nats.Msg, error)) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	a.waiting[a.last] = question{done: done, until: time.Now().Add(AnswerWait)}
	if !a.sweeping {
		a.sweeping = true
		time.AfterFunc(AnswerWait, a.sweep)
	}
	return a.last
}

// take returns the callback of a pending request, the first time it is called for n.
func (a *Requester) take(n uint64) func(*nats.Msg, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	done := a.waiting[n].done
	delete(a.waiting, n)
	return done
}

// answered handles a message. It need not be an answer: if a request for a consumer's
// messages names our reply subject, JetStream delivers them to it under the subjects they
// were stored on.
func (a *Requester) answered(m *nats.Msg) {
	n, ok := a.questionOf(m.Subject)
	if !ok {
		return
	}
	switch done := a.take(n); {
	case done == nil: // the answer is late
	case len(m.Data) == 0 && m.Header.Get("Status") == "503" && m.Header.Get(jetstream.SequenceHeader) == "":
		a.tell(done, nil, nats.ErrNoResponders)
	default:
		a.tell(done, m, nil)
	}
}

// questionOf returns the number of the request whose answers arrive on a subject.
func (a *Requester) questionOf(subject string) (n uint64, ok bool) {
	number, ok := strings.CutPrefix(subject, a.prefix)
	n, err := strconv.ParseUint(number, 36, 64)
	return n, ok && err == nil && number == strconv.FormatUint(n, 36)
}

// tell calls done with the answer.
func (a *Requester) tell(done func(*nats.Msg, error), m *nats.Msg, err error) {
	defer panics.Recover(a.log, "an answer of JetStream", a.metrics.Panicked)
	done(m, err)
}

// refuse answers a write without sending it.
func (a *Requester) refuse(done func(seq uint64, err error), err error) {
	a.tell(func(*nats.Msg, error) { done(0, err) }, nil, err)
}

// sweep times out the requests that have waited too long. All wait equally long, so they
// end in the order they were sent.
func (a *Requester) sweep() {
	for _, done := range a.overdue(time.Now()) {
		a.tell(done, nil, errTimeout)
	}
}

func (a *Requester) overdue(now time.Time) (all []func(*nats.Msg, error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for ; a.oldest <= a.last; a.oldest++ {
		q, waits := a.waiting[a.oldest]
		if waits && q.until.After(now) {
			time.AfterFunc(max(q.until.Sub(now), AnswerWait/20), a.sweep)
			return all
		}
		if waits {
			delete(a.waiting, a.oldest)
			all = append(all, q.done)
		}
	}
	a.sweeping = false
	return all
}

// errOtherStream means that a stream which is not Belfry's stored the write.
var errOtherStream = errors.New("another stream has taken its place")

// Publish is [Requester.Ask] for a message that a stream is to store; done gets its
// sequence. A refusal is a [jetstream.APIError].
func (a *Requester) Publish(m *nats.Msg, done func(seq uint64, err error)) {
	a.Ask(m, func(answer *nats.Msg, err error) {
		if err != nil {
			done(0, err)
			return
		}
		done(readAckOf(a.Names.StreamOf(m.Subject), answer.Data))
	})
}

// readAckOf is ReadAck that also checks the stream. Any stream with the subject answers,
// even one that somebody else created.
func readAckOf(stream string, data []byte) (uint64, error) {
	ack, err := parseAck(data)
	if err == nil && ack.Stream != stream && stream != "" && ack.Stream != "" {
		return 0, fmt.Errorf("%w: %s took a message for %s", errOtherStream, ack.Stream, stream)
	}
	return ack.Seq, err
}

// ReadAck reads a stream's answer to a publish.
func ReadAck(data []byte) (uint64, error) {
	ack, err := parseAck(data)
	return ack.Seq, err
}

type ack struct {
	Stream string              `json:"stream"`
	Seq    uint64              `json:"seq"`
	Error  *jetstream.APIError `json:"error"`
}

func parseAck(data []byte) (ack, error) {
	var a ack
	switch err := json.Unmarshal(data, &a); {
	case err != nil:
		return ack{}, err
	case a.Error != nil:
		return ack{}, a.Error
	case a.Seq == 0:
		return ack{}, errors.New("the answer has neither a sequence nor an error")
	}
	return a, nil
}
