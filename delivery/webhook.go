package delivery

import (
	"bytes"
	"context"
	"io"
	"math"
	"net"
	"net/http"
	"time"

	"belfry/internal/job"
)

const (
	// maxAnswer is how much of an answer's body is read, for the connection
	// to be used again; one with more is closed.
	maxAnswer = 64 << 10

	maxAnswerHeader = 64 << 10
)

// webhook posts fires to the URLs of their routes.
type webhook struct {
	client        *http.Client
	timeout       time.Duration
	defaultScheme string
	userAgent     string
	escape        func(string) string
}

func newWebhook(cfg Config) *webhook {
	return &webhook{
		client: &http.Client{
			Transport: newTransport(cfg.Timeout),
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			},
		},
		timeout:       cfg.Timeout,
		defaultScheme: cfg.DefaultScheme,
		userAgent:     "Belfry/" + cfg.Version,
		escape:        cfg.Escape,
	}
}

// newTransport returns a transport without a limit that two routes could
// share: its connections are as many as the pools have tries under way. No
// proxy either, which would have such limits, and would see the URLs.
func newTransport(timeout time.Duration) *http.Transport {
	return &http.Transport{
		// Dialing outlives its request in the hope of a later one.
		DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
		TLSHandshakeTimeout:    timeout,
		MaxIdleConnsPerHost:    math.MaxInt,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true, // nobody reads the answer
		ForceAttemptHTTP2:      true,
		// Many tries share one HTTP/2 connection: if it is dead, that must show
		// before the next ones fail on it too.
		HTTP2: &http.HTTP2Config{SendPingTimeout: timeout / 3, PingTimeout: timeout / 3},
	}
}

// post makes one try. It is interrupted when ctx ends.
func (w *webhook) post(ctx context.Context, r job.Route, f job.Fire, now time.Time) outcome {
	target, err := r.Target(w.defaultScheme)
	if err != nil {
		return outcome{failed, job.ErrWebhookURL.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(f.Meta))
	if err != nil {
		return outcome{failed, job.ErrWebhookURL.Error()}
	}
	req.Header = w.header(f, now)
	res, err := w.client.Do(req)
	if err != nil {
		return errorOutcome(err, w.timeout)
	}
	defer res.Body.Close()
	// After a 101 the body is the bare connection, which no timeout ends.
	if res.StatusCode != http.StatusSwitchingProtocols {
		io.CopyN(io.Discard, res.Body, maxAnswer) // the status alone counts
	}
	return statusOutcome(res.StatusCode)
}

func (w *webhook) closeIdle() { w.client.CloseIdleConnections() }
