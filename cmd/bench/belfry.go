package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
	"belfry/streams"
)

// The one route of all measurements.
const (
	benchDB    = "bench"
	benchRoute = "r"
)

// createRoute makes the route over REST: to the URL, or for subscribers when
// it is empty.
func (n *node) createRoute(ctx context.Context, url string) error {
	body := fmt.Sprintf(`{"id":%q,"type":"NATS"}`, benchRoute)
	if url != "" {
		body = fmt.Sprintf(`{"id":%q,"type":"REST","webhook_url":%q}`, benchRoute, url)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.api+"/route/"+benchDB, strings.NewReader(body))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if answer, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		return fmt.Errorf("couldn't create the route: status %d: %s", res.StatusCode, answer)
	}
	return nil
}

// creators is how many goroutines prepare jobs.
const creators = 512

// createJobs stores the jobs from..to, whose due times it is told. To be done
// sooner than over REST it uses Belfry's own code, on the server of the node;
// the node's timer sees no difference.
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

// each calls do for from..to-1, many at once, until one fails.
func each(from, to int, do func(i int) error) error {
	var (
		mu    sync.Mutex // guards what follows
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
