package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

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

// next waits for the next arrival, which is sure to come in a minute.
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

func create(ctx context.Context, api, id string, due time.Time) error {
	return post(ctx, api+"/job/demo/timers", fmt.Sprintf(`{"id":%q,"trigger_time":%d,"meta":{"n":%q},"route":"web"}`, id, due.UnixMilli(), id))
}

func post(ctx context.Context, url, body string) error {
	_, err := do(ctx, http.MethodPost, url, body)
	return err
}

func get(ctx context.Context, url string) (string, error) { return do(ctx, http.MethodGet, url, "") }

func do(ctx context.Context, method, url, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer rsp.Body.Close()
	text, err := io.ReadAll(rsp.Body)
	if err != nil {
		return "", err
	}
	if rsp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s %s: status %d: %s", method, url, rsp.StatusCode, text)
	}
	return string(text), nil
}
