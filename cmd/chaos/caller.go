package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"belfry/api/client"
)

// caller sends requests to any of the nodes, again and again until one gets a final
// answer.
type caller struct {
	apis []string
	http *http.Client
}

const (
	// giveUp is when a request without a final answer is given up.
	giveUp = 40 * time.Second
	// patience is how long a request waits for its answer before it is sent again;
	// impatience is the same for some clients.
	patience   = 15 * time.Second
	impatience = 2 * time.Second
)

func newCaller(apis []string) *caller {
	return &caller{apis: apis, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
}

// answer is the result of one request with all its sends.
type answer struct {
	status int // 0: no answer
	body   string
	sends  int

	// doubt says that a send was not answered: it may have been applied, or may still
	// be.
	doubt bool
}

// do sends a request until the answer is anything but a 503. Each send goes to a node
// drawn from r, with a limit for each answer.
func (c *caller) do(ctx context.Context, r *rand.Rand, limit time.Duration, method, path, body string) answer {
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	var a answer
	for pause := 50 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, time.Second) {
		a.sends++
		status, text, err := c.send(ctx, limit, method, c.apis[r.IntN(len(c.apis))]+path, body)
		switch {
		case err != nil && refused(err):
			a.status, a.body = 0, "connection refused"
		case err != nil:
			a.status, a.body, a.doubt = 0, "no answer", true
		case status == http.StatusServiceUnavailable:
			// E302 says that nothing was changed. After any other code nobody knows.
			a.status, a.body = status, text
			a.doubt = a.doubt || a.code() != "E302"
		default:
			a.status, a.body = status, text
			return a
		}
		if wait(ctx, pause) != nil {
			break
		}
	}
	return a
}

func (c *caller) send(ctx context.Context, limit time.Duration, method, url, body string) (status int, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	rsp, err := c.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer rsp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(rsp.Body, 64<<10))
	return rsp.StatusCode, string(bytes.TrimSpace(got)), err
}

// refused reports whether the request did not even reach the node.
func refused(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// code is the error code of an answer that is not a success.
func (a answer) code() string {
	var refused client.Error
	if a.status == http.StatusOK || json.Unmarshal([]byte(a.body), &refused) != nil {
		return ""
	}
	return refused.Code
}

// outcome is what the client learns from the answer.
func (a answer) outcome() outcome {
	late := a.status == http.StatusBadRequest && (a.code() == "E103" || a.code() == "E104")
	switch {
	case a.status == http.StatusOK:
		return acked
	// A send in doubt may be the reason for these.
	case a.doubt && (a.status == 0 || a.status == http.StatusServiceUnavailable || late):
		return unknown
	case a.status == 0 || a.status == http.StatusServiceUnavailable:
		return notDone
	case late:
		return tooLate
	}
	return wrong
}

const db, collection = "chaos", "jobs"

func jobPath(id string) string { return "/job/" + db + "/" + collection + "/" + id }

// These are the settings of the routes. The rate is three times the workload's, but less
// than what comes due together. No job dies because a webhook fails for a while. There
// is no max_lateness_ms: an expired job cannot be told from a lost one without a notion
// of how late Belfry may be.
var (
	natsSettings = client.RouteSettings{Type: client.NATS, RateLimit: client.RateLimit{PerSecond: 100, Burst: 20}}
	restSettings = client.RouteSettings{
		Type:        client.REST,
		Retry:       client.Retry{MaxAttempts: 100, MinBackoffMS: 200, MaxBackoffMS: 2000, Multiplier: 2, Jitter: new(0.5)},
		Concurrency: 16,
		RateLimit:   natsSettings.RateLimit,
	}
)

// encode writes a body; the bodies of this program can always be encoded.
func encode(body any) string {
	data, err := client.Encode(body)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// createRoutes makes the two routes, and returns the consumer of the NATS one.
func (c *caller) createRoutes(ctx context.Context, r *rand.Rand, in *receiver) (consumer string, err error) {
	rest := client.NewRoute{ID: routeREST, RouteSettings: restSettings}
	rest.WebhookURL, rest.Secret = in.url(), new(client.Secret(in.secret))
	for _, route := range []client.NewRoute{rest, {ID: routeNATS, RouteSettings: natsSettings}} {
		if a := c.do(ctx, r, patience, http.MethodPost, "/route/"+db, encode(route)); a.status != http.StatusOK {
			return "", fmt.Errorf("couldn't create a route: %d %s", a.status, a.body)
		}
	}
	a := c.do(ctx, r, patience, http.MethodGet, "/route/"+db+"/"+routeNATS, "")
	var route client.Route
	if err := json.Unmarshal([]byte(a.body), &route); err != nil || route.Consumer == "" {
		return "", fmt.Errorf("the route of type NATS shows no consumer: %d %s", a.status, a.body)
	}
	return route.Consumer, nil
}

// eachRoute sends a request about each of the routes.
func (c *caller) eachRoute(ctx context.Context, what string) error {
	r := rand.New(rand.NewPCG(0, 0))
	for _, id := range []string{routeREST, routeNATS} {
		if a := c.do(ctx, r, patience, http.MethodPost, "/route/"+db+"/"+id+"/"+what, ""); a.status != http.StatusOK {
			return fmt.Errorf("couldn't %s route %s: %d %s", what, id, a.status, a.body)
		}
	}
	return nil
}

// tripped reports whether the breaker of the REST route is shown as open.
func (c *caller) tripped(ctx context.Context) bool {
	a := c.do(ctx, rand.New(rand.NewPCG(0, 0)), patience, http.MethodGet, "/route/"+db+"/"+routeREST, "")
	var route client.Route
	return a.status == http.StatusOK && json.Unmarshal([]byte(a.body), &route) == nil && route.Breaker.State == client.BreakerOpen
}

// status returns the status that the API shows of a job.
func (c *caller) status(ctx context.Context, r *rand.Rand, id string) string {
	a := c.do(ctx, r, patience, http.MethodGet, jobPath(id), "")
	var shown client.Job
	switch {
	case a.status == http.StatusBadRequest && a.code() == "E101":
		return notFound
	case a.status == http.StatusOK && json.Unmarshal([]byte(a.body), &shown) == nil:
		return string(shown.Status)
	}
	return fmt.Sprintf("%d %s", a.status, a.body)
}
