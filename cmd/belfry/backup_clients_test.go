package main

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// clients keep a belfry busy while it is backed up: two create jobs that are due
// at once, one cancels jobs in their order, and one moves jobs again and again.
type clients struct {
	p      *running
	errorf func(format string, args ...any)
	busy   sync.WaitGroup
	left   chan struct{} // closed when they are to leave
	leave  func()        // returns when they have left

	mu   sync.Mutex // guards told
	told told
}

// told is what the clients were told.
type told struct {
	created   []string // ids
	cancelled int      // how many, from the first on; the next one may be under way
	moves     int
	movedBy   []int64 // for each job, in milliseconds
}

// startClients starts them; they leave when the test ends at the latest.
func startClients(t *testing.T, p *running, toCancel, toMove []plannedJob) *clients {
	t.Helper()
	c := &clients{p: p, errorf: few(t), left: make(chan struct{}), told: told{movedBy: make([]int64, len(toMove))}}
	c.leave = sync.OnceFunc(func() { close(c.left); c.busy.Wait() })
	t.Cleanup(c.leave)
	for n := range 2 {
		c.start(func(i int) {
			j := plannedJob{id: fmt.Sprintf("created-%d-%d", n, i), due: time.Now(), meta: "1"}
			c.ask(http.MethodPost, "/job/db/coll", j.body("r"), func() { c.told.created = append(c.told.created, j.id) })
		})
	}
	c.start(func(i int) {
		if i == len(toCancel) {
			<-c.left
			return
		}
		c.ask(http.MethodDelete, "/job/db/coll/"+toCancel[i].id, "", func() { c.told.cancelled++ })
	})
	c.start(func(i int) {
		n, by := i%len(toMove), int64(i+1)
		j := toMove[n]
		j.due = j.due.Add(time.Duration(by) * time.Millisecond)
		c.ask(http.MethodPut, "/job/db/coll/"+j.id, j.body("held"), func() {
			c.told.movedBy[n] = by
			c.told.moves++
		})
	})
	return c
}

// start runs a client that does one thing after the other.
func (c *clients) start(do func(i int)) {
	c.busy.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-c.left:
				return
			default:
				do(i)
			}
		}
	})
}

// ask sends a request that must be answered 200, and then notes it.
func (c *clients) ask(method, path, body string, note func()) {
	if a, _, err := c.p.insist(method, path, body); err != nil || !a.ok() {
		c.errorf("under load: %v (%v), want 200", a, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	note()
}

// soFar returns what the clients were told until now.
func (c *clients) soFar() told {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.told
	now.created, now.movedBy = slices.Clone(now.created), slices.Clone(now.movedBy)
	return now
}
