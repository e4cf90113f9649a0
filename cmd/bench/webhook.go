package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// posters is how many POSTs the bare loop makes at once, as many as Belfry
// makes to one route.
const posters = 64

// postAll posts each meta at its time, and does nothing else.
func postAll(ctx context.Context, url string, jobs int, due func(i int) time.Time) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: posters}}
	defer client.CloseIdleConnections()
	next := make(chan int)
	failed := make(chan error, posters)
	var posting sync.WaitGroup
	for range posters {
		posting.Go(func() {
			for i := range next {
				res, err := client.Post(url, "application/json", bytes.NewReader(meta(i, due(i))))
				if err != nil {
					failed <- err
					return
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	}
	defer posting.Wait()
	defer close(next)
	for i := range jobs {
		time.Sleep(time.Until(due(i)))
		select {
		case next <- i:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// measureWebhooks is a row: jobs of a REST route, and a bare POST at each time.
// JetStream has no webhooks of its own.
func measureWebhooks(synced string, p plan) func(context.Context, *bench) (outcome, error) {
	return func(ctx context.Context, b *bench) (o outcome, err error) {
		p := plan{b.scaled(p.jobs), p.rate}
		o.belfry, err = b.withBelfry(ctx, synced, func(n *node) (figures, error) {
			t := newTally(p.jobs)
			in, err := receive(t)
			if err != nil {
				return nil, err
			}
			defer in.close()
			if err := n.createRoute(ctx, in.url()); err != nil {
				return nil, err
			}
			return p.play(ctx, t, ahead(synced, p.jobs), func(due func(int) time.Time) error {
				return n.createJobs(ctx, synced, 0, p.jobs, due)
			})
		})
		if err != nil {
			return o, err
		}
		t := newTally(p.jobs)
		in, err := receive(t)
		if err != nil {
			return o, err
		}
		defer in.close()
		first, due := p.dues(500 * time.Millisecond)
		if err := postAll(ctx, in.url(), p.jobs, due); err != nil {
			return o, err
		}
		o.bare, err = p.run(ctx, t, first)
		return o, err
	}
}
