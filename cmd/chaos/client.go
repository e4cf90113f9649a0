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
)

// client sends requests to any of the nodes, again and again until one is
// answered for good.
type client struct {
	apis []string
	http *http.Client
}

const (
	// giveUp is when a request that was never answered for good is given up.
	giveUp = 40 * time.Second
	// patience is how long an answer is awaited before the request is sent
	// again; impatience is that of some.
	patience   = 15 * time.Second
	impatience = 2 * time.Second
)

func newClient(apis []string) *client {
	return &client{apis: apis, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
}

// answer is what came back for one request in all.
type answer struct {
	status int // 0: nothing
	body   string
	sends  int

	// doubt says that a send was not answered, so that it may have been
	// applied, and may still be.
	doubt bool
}

// do sends a request until it is answered with anything but a 503, each time
// to a node drawn from r, with a limit for each answer.
func (c *client) do(ctx context.Context, r *rand.Rand, limit time.Duration, method, path, body string) answer {
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
			// E302 says that nothing was changed, all else that nobody knows.
			a.status, a.body = status, text
			a.doubt = a.doubt || !strings.Contains(text, `"E302"`)
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

func (c *client) send(ctx context.Context, limit time.Duration, method, url, body string) (status int, text string, err error) {
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

// outcome is what the answer tells its client.
func (a answer) outcome() outcome {
	code := func(codes ...string) bool {
		for _, c := range codes {
			if a.status == http.StatusBadRequest && strings.Contains(a.body, `"`+c+`"`) {
				return true
			}
		}
		return false
	}
	switch {
	case a.status == http.StatusOK:
		return acked
	// A send in doubt may be the reason for these.
	case a.doubt && (a.status == 0 || a.status == http.StatusServiceUnavailable || code("E103", "E104")):
		return unknown
	case a.status == 0 || a.status == http.StatusServiceUnavailable:
		return notDone
	case code("E103", "E104"):
		return tooLate
	}
	return wrong
}

const db, collection = "chaos", "jobs"

func jobPath(id string) string { return "/job/" + db + "/" + collection + "/" + id }

// The policies of the routes. The rate is three times that of the workload, but
// not of what comes due together; and no job dies of a webhook that fails for a
// while. There is no max_lateness_ms: what expires cannot be told from what is
// lost, without a notion of how late Belfry may be.
const (
	rateLimit  = `"rate_limit":{"per_second":100,"burst":20}`
	restPolicy = `"retry":{"max_attempts":100,"min_backoff_ms":200,"max_backoff_ms":2000,"multiplier":2,"jitter":0.5},"concurrency":16,` + rateLimit
)

// createRoutes makes the two routes, and returns the consumer of the NATS one.
func (c *client) createRoutes(ctx context.Context, r *rand.Rand, in *receiver) (consumer string, err error) {
	for _, body := range []string{
		fmt.Sprintf(`{"id":%q,"type":"REST","webhook_url":%q,"secret":%q,%s}`, routeREST, in.url(), in.secret, restPolicy),
		fmt.Sprintf(`{"id":%q,"type":"NATS",%s}`, routeNATS, rateLimit),
	} {
		if a := c.do(ctx, r, patience, http.MethodPost, "/route/"+db, body); a.status != http.StatusOK {
			return "", fmt.Errorf("couldn't create a route: %d %s", a.status, a.body)
		}
	}
	a := c.do(ctx, r, patience, http.MethodGet, "/route/"+db+"/"+routeNATS, "")
	var route struct{ Consumer string }
	if err := json.Unmarshal([]byte(a.body), &route); err != nil || route.Consumer == "" {
		return "", fmt.Errorf("the route of type NATS shows no consumer: %d %s", a.status, a.body)
	}
	return route.Consumer, nil
}

// eachRoute sends a request about each of the routes.
func (c *client) eachRoute(ctx context.Context, what string) error {
	r := rand.New(rand.NewPCG(0, 0))
	for _, id := range []string{routeREST, routeNATS} {
		if a := c.do(ctx, r, patience, http.MethodPost, "/route/"+db+"/"+id+"/"+what, ""); a.status != http.StatusOK {
			return fmt.Errorf("couldn't %s route %s: %d %s", what, id, a.status, a.body)
		}
	}
	return nil
}

// tripped reports whether the breaker of the REST route is shown as open.
func (c *client) tripped(ctx context.Context) bool {
	a := c.do(ctx, rand.New(rand.NewPCG(0, 0)), patience, http.MethodGet, "/route/"+db+"/"+routeREST, "")
	return a.status == http.StatusOK && strings.Contains(a.body, `"breaker":{"state":"open"`)
}

// status returns the status that the API shows of a job.
func (c *client) status(ctx context.Context, r *rand.Rand, id string) string {
	a := c.do(ctx, r, patience, http.MethodGet, jobPath(id), "")
	var shown struct{ Status string }
	switch {
	case a.status == http.StatusBadRequest && strings.Contains(a.body, `"E101"`):
		return notFound
	case a.status == http.StatusOK && json.Unmarshal([]byte(a.body), &shown) == nil:
		return shown.Status
	}
	return fmt.Sprintf("%d %s", a.status, a.body)
}
