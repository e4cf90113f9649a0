package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"belfry/api/client"
)

// hammer has clients repeat an action for a while, each one call after another. It
// returns the actions per second, and the p50 and p99 of one in milliseconds. connect
// returns the action of one client; each call gets a unique i.
func hammer(ctx context.Context, clients int, span time.Duration, connect func() (do func(i int) error, err error)) (figures, error) {
	var (
		counter  atomic.Int64
		mu       sync.Mutex // guards the fields below
		took     []time.Duration
		firstErr error
	)
	dos := make([]func(int) error, clients)
	for c := range dos {
		var err error
		if dos[c], err = connect(); err != nil {
			return nil, err
		}
	}
	start := time.Now()
	var running sync.WaitGroup
	for _, do := range dos {
		running.Go(func() {
			var mine []time.Duration
			var err error
			for began := time.Now(); err == nil && ctx.Err() == nil && began.Sub(start) < span; {
				err = do(int(counter.Add(1)))
				now := time.Now()
				mine = append(mine, now.Sub(began))
				began = now
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			if err != nil {
				firstErr = err
			}
		})
	}
	running.Wait()
	rate := float64(len(took)) / time.Since(start).Seconds()
	all := spread(took)
	return figures{rate, all[0], all[1]}, firstErr
}

// restClient creates jobs over a connection of its own. It is leaner than an
// http.Client, since it shares two cores with what it measures.
func (n *node) restClient(due time.Time) (func(i int) error, error) {
	c, err := net.Dial("tcp", n.api)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(c)
	return func(i int) error {
		body, err := client.Encode(client.NewJob{ID: jobID(i), TriggerTime: due.UnixMilli(), Meta: meta(i, due), Route: benchRoute})
		if err != nil {
			return err
		}
		req := fmt.Appendf(nil, "POST /job/%s/c HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", benchDB, n.api, len(body), body)
		if _, err := c.Write(req); err != nil {
			return err
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d: %s", res.StatusCode, answer)
		}
		return err
	}, nil
}
