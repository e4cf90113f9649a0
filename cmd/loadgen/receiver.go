package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// arrival is one POST as it came in. The fire id says which firing of the job it belongs
// to; repeats have the same id.
type arrival struct {
	job  string
	fire string
	at   time.Time // when its handling began
}

// receiver takes fires on a free loopback port and answers them all with 200.
type receiver struct {
	server   *http.Server
	listener net.Listener

	mu       sync.Mutex // guards the fields below
	arrivals []arrival
	jobs     map[string]struct{} // the jobs that have arrived
	more     chan struct{}       // closed with the next arrival
}

func newReceiver() (*receiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{listener: l, jobs: map[string]struct{}{}, more: make(chan struct{})}
	r.server = &http.Server{Handler: r}
	go r.server.Serve(l) // until close; a failure shows as lost jobs
	return r, nil
}

func (r *receiver) url() string { return "http://" + r.listener.Addr().String() + "/" }

func (r *receiver) close() { r.server.Close() }

func (r *receiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	at := time.Now()
	a := arrival{job: req.Header.Get("Belfry-Job-Id"), fire: req.Header.Get("webhook-id"), at: at}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrivals = append(r.arrivals, a)
	r.jobs[a.job] = struct{}{}
	close(r.more)
	r.more = make(chan struct{})
}

// repeatsWithin is how long to wait for repeats after the last job.
const repeatsWithin = time.Second

// wait returns when that many jobs have arrived, and a moment has passed in which one of
// them could arrive again. It also returns at the deadline, and when ctx ends.
func (r *receiver) wait(ctx context.Context, jobs int, deadline time.Time) {
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(repeatsWithin))
	defer cancel()
	for {
		r.mu.Lock()
		all, more := len(r.jobs) >= jobs, r.more
		r.mu.Unlock()
		if all {
			break
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
	select {
	case <-time.After(repeatsWithin):
	case <-ctx.Done():
	}
}

// arrived returns the arrivals so far, in order.
func (r *receiver) arrived() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]arrival(nil), r.arrivals...)
}
