package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"belfry/api/client"
)

const db, collection, route = "demo", "timers", "web"

// arrival is one POST of a fire.
type arrival struct {
	job  string
	at   time.Time
	late time.Duration
}

// receiver takes webhooks on a free loopback port.
type receiver struct {
	server   *http.Server
	listener net.Listener
	arrivals chan arrival
}

func newReceiver() (*receiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{listener: l, arrivals: make(chan arrival, 10*jobs)}
	r.server = &http.Server{Handler: r}
	go r.server.Serve(l) // until close; a failure shows as missing arrivals
	return r, nil
}

func (r *receiver) url() string { return "http://" + r.listener.Addr().String() + "/hook" }

func (r *receiver) close() { r.server.Close() }

func (r *receiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	at := time.Now()
	trigger, _ := strconv.ParseInt(req.Header.Get("Belfry-Trigger-Time"), 10, 64)
	r.arrivals <- arrival{req.Header.Get("Belfry-Job-Id"), at, at.Sub(time.UnixMilli(trigger)).Round(time.Millisecond)}
}

// next waits for the next arrival, which must come within a minute.
func (r *receiver) next(ctx context.Context) (arrival, error) {
	select {
	case a := <-r.arrivals:
		return a, nil
	case <-time.After(time.Minute):
		return arrival{}, errors.New("nothing arrived for a minute")
	case <-ctx.Done():
		return arrival{}, ctx.Err()
	}
}

func createRoute(ctx context.Context, node *client.Client, url string) error {
	_, err := node.Do(ctx, http.MethodPost, client.Path("route", db), client.NewRoute{
		ID: route, RouteSettings: client.RouteSettings{Type: client.REST, WebhookURL: url},
	})
	return err
}

func create(ctx context.Context, node *client.Client, id string, due time.Time) error {
	_, err := node.Do(ctx, http.MethodPost, client.Path("job", db, collection), client.NewJob{
		ID: id, TriggerTime: due.UnixMilli(), Meta: fmt.Appendf(nil, `{"n":%q}`, id), Route: route,
	})
	return err
}

// delivered returns the job, as the node shows it, once the node says that it is
// delivered. That is a moment after the webhook got it.
func delivered(ctx context.Context, node *client.Client, id string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		answer, err := node.Do(ctx, http.MethodGet, client.Path("job", db, collection, id), nil)
		if err != nil {
			return "", err
		}
		var j client.Job
		if err := json.Unmarshal(answer, &j); err != nil || j.Status == client.StatusDelivered {
			return string(answer), err
		}
		time.Sleep(20 * time.Millisecond)
	}
}
