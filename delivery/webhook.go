package delivery

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"time"

	"belfry/internal/job"
)

const (
	// maxAnswer is how much of an answer's body is read so that the connection can be
	// used again. A connection with a longer answer is closed.
	maxAnswer = 64 << 10

	maxAnswerHeader = 64 << 10
)

// bodyTime is how long the body of an answer is read once its status has come. The
// status alone decides, and the next try needs the slot.
const bodyTime = 750 * time.Millisecond

// webhook posts fires to the URLs of their routes.
type webhook struct {
	lanes         *lanes
	dialer        *dialer
	timeout       time.Duration
	concurrency   int
	defaultScheme string
	userAgent     string
	escape        func(string) string
}

func newWebhook(cfg Config) *webhook {
	// The system's certificates are read only once, whatever the outcome. They are
	// read here, while there are files left to open.
	_, _ = x509.SystemCertPool()
	d := &dialer{resolver: cfg.Resolver, guard: guard{cfg.DenyPrivate, cfg.Allow}}
	base := newTransport(cfg.Timeout, d)
	if cfg.RootCAs != nil {
		base.TLSClientConfig = &tls.Config{RootCAs: cfg.RootCAs}
	}
	return &webhook{
		lanes:         newLanes(base, cfg.ConnectionAge),
		dialer:        d,
		timeout:       cfg.Timeout,
		concurrency:   cfg.Concurrency,
		defaultScheme: cfg.DefaultScheme,
		userAgent:     "Belfry/" + cfg.Version,
		escape:        cfg.Escape,
	}
}

// newTransport returns the template for each route's transport. It has no limit on
// connections, which are as many as the pool has tries under way. It has no proxy
// either: a proxy would have such limits, and would see the URLs.
func newTransport(timeout time.Duration, d *dialer) *http.Transport {
	return &http.Transport{
		DialContext: d.DialContext,
		// A handshake outlives its request in the hope of a later one, so it needs its
		// own deadline, but none before the longest time that a route may give its
		// tries.
		TLSHandshakeTimeout:    job.MaxTimeout,
		IdleConnTimeout:        laneIdle,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true, // otherwise an answer of any size would be unpacked
		ForceAttemptHTTP2:      true,
		HTTP2: &http.HTTP2Config{
			// Many tries of a route share one HTTP/2 connection: if it is dead, that must
			// show before the next ones fail on it too.
			SendPingTimeout: timeout / 3, PingTimeout: timeout / 3,
			// At most this much of an answer's body is on its way unread.
			MaxReceiveBufferPerStream: maxAnswer,
		},
	}
}

// post makes one try, and returns its outcome for the job and for humans. It fills in
// the parts of the attempt that it knows. The try is interrupted when ctx ends.
func (w *webhook) post(ctx context.Context, r job.Route, f job.Fire, now time.Time) (outcome, job.Attempt) {
	target, err := r.Target(w.defaultScheme)
	if err != nil {
		return unmade(job.ErrWebhookURL)
	}
	timeout := cmp.Or(r.Timeout, w.timeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ctx = withTryEnd(ctx)
	req, err := http.NewRequestWithContext(ctx, cmp.Or(r.Method, http.MethodPost), target.String(), bytes.NewReader(f.Meta))
	if err != nil {
		return unmade(job.ErrWebhookURL)
	}
	if req.Header, err = w.header(r.Policy, f, now); err != nil {
		return unmade(job.ErrPolicy)
	}
	begin := time.Now()
	lane := w.lanes.take(r.RouteKey, cmp.Or(r.Concurrency, w.concurrency))
	defer w.lanes.give(lane)
	res, done, err := lane.send(req)
	if err != nil {
		took := time.Since(begin)
		out := errorOutcome(err, min(took.Round(100*time.Millisecond), timeout))
		return out, job.Attempt{Duration: took, Error: out.detail}
	}
	defer done()
	defer res.Body.Close()
	defer cancel() // closing an unfinished body then waits for nobody
	a := job.Attempt{Status: res.StatusCode}
	// After a 101 the body is the bare connection, which no timeout ends.
	if res.StatusCode != http.StatusSwitchingProtocols {
		// The status alone counts; the body is for humans.
		defer time.AfterFunc(bodyTime, cancel).Stop()
		a.Response = excerpt(res.Body, secretsOf(r.Policy, target))
		drain(res.Body)
	}
	out := statusOutcome(res.StatusCode, r.Policy)
	out.retryAfter = retryAfter(res.StatusCode, res.Header.Get("Retry-After"), now.Add(time.Since(begin)))
	a.Duration, a.Error = time.Since(begin), out.detail
	return out, a
}

// unmade is the outcome of a try that could not even begin.
func unmade(err error) (outcome, job.Attempt) {
	return outcome{verdict: failed, detail: err.Error()}, job.Attempt{Error: err.Error()}
}

func (w *webhook) closeIdle() { w.lanes.close() }
