package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/api/client"
	"belfry/internal/job"
	"belfry/streams"
)

// All measurements use this one route.
const (
	benchDB    = "bench"
	benchRoute = "r"
)

// createRoute makes the route over REST. It leads to the URL, or to subscribers when the
// URL is empty.
func (n *node) createRoute(ctx context.Context, url string) error {
	c, err := client.New("http://"+n.api, "")
	if err != nil {
		return err
	}
	route := client.NewRoute{ID: benchRoute, RouteSettings: client.RouteSettings{Type: client.NATS}}
	if url != "" {
		route.Type, route.WebhookURL = client.REST, url
	}
	if _, err := c.Do(ctx, http.MethodPost, client.Path("route", benchDB), route); err != nil {
		return fmt.Errorf("couldn't create the route: %w", err)
	}
	return nil
}

// creators is how many goroutines prepare jobs.
const creators = 512

// createJobs stores the jobs from..to, due at the times that due gives. To finish sooner
// than REST would, it uses Belfry's own code on the node's server; the node's timer sees
// no difference.
func (n *node) createJobs(ctx context.Context, synced string, from, to int, due func(i int) time.Time) error {
	nc, err := n.connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	store, err := openStore(ctx, nc, synced)
	if err != nil {
		return err
	}
	return each(from, to, func(i int) error {
		return store.Jobs().Create(ctx, job.Job{
			Key:     job.Key{DB: benchDB, Collection: "c", ID: jobID(i)},
			Trigger: due(i).UnixMilli(), Meta: meta(i, due(i)), Route: benchRoute,
		})
	})
}

func openStore(ctx context.Context, nc *nats.Conn, synced string) (*streams.Store, error) {
	return streams.Open(ctx, nc, streams.Config{
		SyncAlways: synced == always, Log: slog.New(slog.DiscardHandler),
	})
}

func jobID(i int) string { return "job-" + strconv.Itoa(i) }

// each calls do for from..to-1, many calls at once, until one fails.
func each(from, to int, do func(i int) error) error {
	var (
		mu    sync.Mutex // guards the fields below
		next  = from
		first error
	)
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, next <= to && first == nil
	}
	var working sync.WaitGroup
	for range creators {
		working.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				if err := do(i); err != nil {
					mu.Lock()
					first = err
					mu.Unlock()
				}
			}
		})
	}
	working.Wait()
	return first
}
