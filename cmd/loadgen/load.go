package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"belfry/api/client"
)

// load says which jobs to create.
type load struct {
	jobs    int
	over    time.Duration
	ahead   time.Duration
	clients int
}

// plannedJob is one job of the load. due is in whole milliseconds.
type plannedJob struct {
	id  string
	due time.Time
}

// plan spreads the due times evenly over the load's span.
func (l load) plan(start time.Time) []plannedJob {
	jobs := make([]plannedJob, l.jobs)
	for i := range jobs {
		due := start.Add(l.ahead + l.over*time.Duration(i)/time.Duration(l.jobs))
		jobs[i] = plannedJob{id: strconv.Itoa(i), due: due.Truncate(time.Millisecond)}
	}
	return jobs
}

// creation is the result of creating one job.
type creation struct {
	plannedJob
	sent     time.Time
	answered time.Time
	err      error
}

// caller talks to one Belfry. Its jobs and its route have names that no other run uses.
type caller struct {
	load
	server string
	run    string
	http   *http.Client
}

const db = "loadgen"

func newCaller(server string, l load) *caller {
	return &caller{
		load:   l,
		server: strings.TrimRight(server, "/"),
		run:    strings.ToLower(rand.Text()),
		http: &http.Client{
			Timeout:   30 * time.Second,
			Transport: &http.Transport{MaxIdleConnsPerHost: l.clients},
		},
	}
}

func (c *caller) createRoute(ctx context.Context, url string) error {
	return c.send(ctx, http.MethodPost, "/route/"+db, client.NewRoute{
		ID: c.run, RouteSettings: client.RouteSettings{Type: client.REST, WebhookURL: url},
	})
}

// deleteRoute deletes the route at best effort: a route that stays does no harm.
func (c *caller) deleteRoute(ctx context.Context) {
	_ = c.send(ctx, http.MethodDelete, "/route/"+db+"/"+c.run, nil)
}

// createJobs creates the jobs in the order of their due times, until ctx ends.
func (c *caller) createJobs(ctx context.Context, jobs []plannedJob) []creation {
	results := make([]creation, len(jobs))
	next := make(chan int)
	var working sync.WaitGroup
	for range c.clients {
		working.Go(func() {
			for i := range next {
				results[i] = c.createJob(ctx, jobs[i])
			}
		})
	}
	for i := range jobs {
		next <- i
	}
	close(next)
	working.Wait()
	return results
}

func (c *caller) createJob(ctx context.Context, j plannedJob) creation {
	sent := time.Now()
	err := c.send(ctx, http.MethodPost, "/job/"+db+"/"+c.run, client.NewJob{
		ID: j.id, TriggerTime: j.due.UnixMilli(), Meta: fmt.Appendf(nil, `{"job":%q}`, j.id), Route: c.run,
	})
	return creation{plannedJob: j, sent: sent, answered: time.Now(), err: err}
}

// send returns nil for an answer of 200.
func (c *caller) send(ctx context.Context, method, path string, body any) error {
	text, err := client.Encode(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	rsp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer rsp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(rsp.Body, 64<<10))
	if err != nil {
		return err
	}
	if rsp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", rsp.StatusCode, bytes.TrimSpace(answer))
	}
	return nil
}

// created counts the creations that were answered 200.
func created(creations []creation) int {
	n := 0
	for _, c := range creations {
		if c.err == nil {
			n++
		}
	}
	return n
}
