package delivery

import "net/http"

const (
	Delivered   = delivered
	Failed      = failed
	Gone        = gone
	Interrupted = interrupted
)

var (
	StatusOutcome = statusOutcome
	ErrorOutcome  = errorOutcome
	RetryDelay    = retryDelay
)

type Outcome = outcome

func NewOutcome(v verdict, detail string) Outcome { return outcome{v, detail} }

var Result = outcome.result

// Transport is for tests to dial elsewhere and to trust test servers.
func (m *Manager) Transport() *http.Transport { return m.webhook.client.Transport.(*http.Transport) }
