package delivery

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"time"

	"belfry/internal/job"
)

const (
	Delivered   = delivered
	Failed      = failed
	Gone        = gone
	Final       = final
	Interrupted = interrupted
	PutOff      = putOff

	BodyTime    = bodyTime
	AnswerBytes = answerBytes

	StoringPerSlot = storingPerSlot
)

var (
	StatusOutcome = statusOutcome
	ErrorOutcome  = errorOutcome
	RetryDelay    = retryDelay
	RetryAfter    = retryAfter
	Excerpt       = excerpt
	SecretsOf     = secretsOf
)

type Outcome = outcome

func NewOutcome(v verdict, detail string) Outcome { return outcome{verdict: v, detail: detail} }

// After returns the outcome of a receiver that asks to be left alone for d.
func (o Outcome) After(d time.Duration) Outcome { o.retryAfter = d; return o }

var Result = outcome.result

// CheckAddress asks the guard of a configuration.
func CheckAddress(cfg Config, addr netip.Addr) error {
	return guard{cfg.DenyPrivate, cfg.Allow}.check(addr)
}

// SetResolver makes the manager look names up elsewhere.
func (m *Manager) SetResolver(r *net.Resolver) { m.webhook.dialer.resolver = r }

// FetchAfterResize shrinks a pool of four slots to one between its steps: after the
// slots are reserved, and before the fetch.
func FetchAfterResize(ctx context.Context, inboxes Inboxes) error {
	cfg := Config{Inboxes: inboxes}.withDefaults()
	p := newPool(ctx, &run{worker: &worker{Config: cfg}}, job.Inbox{Type: job.REST}, func() {})
	p.resize(4)
	round, free := p.reserve(ctx)
	p.resize(1)
	_, err := p.fetch(round, free)
	return err
}

// Transport is for tests to dial elsewhere and to trust test servers.
func (m *Manager) Transport() *http.Transport { return m.webhook.lanes.base }

// Lanes returns how many routes have connections, or may have.
func (m *Manager) Lanes() int {
	m.webhook.lanes.mu.Lock()
	defer m.webhook.lanes.mu.Unlock()
	return len(m.webhook.lanes.of)
}

// Kept returns how many idle connections a route may keep.
func (m *Manager) Kept(id string) int {
	m.webhook.lanes.mu.Lock()
	defer m.webhook.lanes.mu.Unlock()
	return m.webhook.lanes.of[job.RouteKey{DB: "db", ID: id}].transport().MaxIdleConnsPerHost
}

// HoldLane makes a route hold its lane, with a transport.
func (m *Manager) HoldLane(id string) {
	m.webhook.lanes.take(job.RouteKey{DB: "db", ID: id}, 1).transport()
}

var InTurns = inTurns

// Silent is [silent] for tests.
type Silent struct{ s silent }

func (s *Silent) Note(a netip.AddrPort, heard bool) { s.s.note(a, heard) }
func (s *Silent) Last(all []netip.AddrPort)         { s.s.last(all) }
func (s *Silent) Len() int                          { return len(s.s.at) }

// Unanswered reports whether a request that failed on a new connection, without a byte,
// is made again.
func Unanswered(err error) bool { return (&sending{got: true}).unanswered(err) }

// SendBesideRenewal makes a request whose connection others renew in the moment that it is
// taken for idle, before its answer is handed on.
func SendBesideRenewal(req *http.Request) error {
	l := newLanes(&http.Transport{}, time.Minute).take(job.RouteKey{}, 1)
	ended := make(chan struct{})
	renew := func(error) {
		l.renew(nil)
		select { // a request that has lost its answer ends here
		case <-ended:
		case <-time.After(100 * time.Millisecond):
		}
	}
	res, done, err := l.send(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{PutIdleConn: renew})))
	close(ended)
	if err != nil {
		return err
	}
	defer done()
	return res.Body.Close()
}
