package delivery

import (
	"bytes"
	"cmp"
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
		client:        &http.Client{Transport: staying{newTransport(cfg.Timeout, guard{cfg.DenyPrivate, cfg.Allow})}},
		timeout:       cfg.Timeout,
		defaultScheme: cfg.DefaultScheme,
		userAgent:     "Belfry/" + cfg.Version,
		escape:        cfg.Escape,
	}
}

// staying hides where answers point to, so that a client follows no redirect. One
// that refuses to follow still reads that first, and fails if it is no URL.
type staying struct{ *http.Transport }

func (t staying) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.Transport.RoundTrip(req)
	if err == nil {
		res.Header.Del("Location")
	}
	return res, err
}

// newTransport returns a transport without a limit that two routes could
// share: its connections are as many as the pools have tries under way. No
// proxy either, which would have such limits, and would see the URLs.
func newTransport(timeout time.Duration, g guard) *http.Transport {
	return &http.Transport{
		// Connecting outlives its request in the hope of a later one, so it needs an
		// end of its own, but none before the time that a route may give its tries.
		DialContext:            (&net.Dialer{Timeout: job.MaxTimeout, ControlContext: g.control}).DialContext,
		TLSHandshakeTimeout:    job.MaxTimeout,
		MaxIdleConnsPerHost:    math.MaxInt,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true, // an answer of any size would be unpacked
		ForceAttemptHTTP2:      true,
		// Many tries share one HTTP/2 connection: if it is dead, that must show
		// before the next ones fail on it too.
		HTTP2: &http.HTTP2Config{SendPingTimeout: timeout / 3, PingTimeout: timeout / 3},
	}
}

// post makes one try, and returns what came of it: for the job, and for people.
// Of the attempt it fills in what it knows. It is interrupted when ctx ends.
func (w *webhook) post(ctx context.Context, r job.Route, f job.Fire, now time.Time) (outcome, job.Attempt) {
	target, err := r.Target(w.defaultScheme)
	if err != nil {
		return unmade(job.ErrWebhookURL)
	}
	timeout := cmp.Or(r.Timeout, w.timeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, cmp.Or(r.Method, http.MethodPost), target.String(), bytes.NewReader(f.Meta))
	if err != nil {
		return unmade(job.ErrWebhookURL)
	}
	if req.Header, err = w.header(r.Policy, f, now); err != nil {
		return unmade(job.ErrPolicy)
	}
	begin := time.Now()
	res, err := w.client.Do(req)
	if err != nil {
		took := time.Since(begin)
		out := errorOutcome(err, min(took.Round(100*time.Millisecond), timeout))
		return out, job.Attempt{Duration: took, Error: out.detail}
	}
	defer res.Body.Close()
	a := job.Attempt{Status: res.StatusCode}
	// After a 101 the body is the bare connection, which no timeout ends.
	if res.StatusCode != http.StatusSwitchingProtocols {
		// The status alone counts; what the body says is for people.
		a.Response = excerpt(res.Body, secretsOf(r.Policy, target))
		io.CopyN(io.Discard, res.Body, maxAnswer)
	}
	out := statusOutcome(res.StatusCode, r.Policy)
	out.retryAfter = retryAfter(res.StatusCode, res.Header.Get("Retry-After"), now.Add(time.Since(begin)))
	a.Duration, a.Error = time.Since(begin), out.detail
	return out, a
}

// unmade is a try that could not even begin.
func unmade(err error) (outcome, job.Attempt) {
	return outcome{verdict: failed, detail: err.Error()}, job.Attempt{Error: err.Error()}
}

func (w *webhook) closeIdle() { w.client.CloseIdleConnections() }
