package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"belfry/internal/job"
)

// post is one request as a receiver saw it.
type post struct {
	job      string // Belfry-Job-Id
	fire     string // webhook-id
	meta     string
	header   http.Header
	at       time.Time // when its handling began
	answered time.Time // when it ended; zero while it goes on
}

func (p post) String() string { return fmt.Sprintf("%s at %v", p.meta, p.at) }

// receiver is an HTTP server that records its requests.
type receiver struct {
	url string

	mu     sync.Mutex // guards the fields below
	posts  []*post
	byJob  map[string][]*post
	change chan struct{} // closed when a request begins or ends
}

// newReceiver starts a receiver. status returns the answer to a request, and may
// take long; nil is 200.
func newReceiver(t *testing.T, status func(*http.Request, post) int) *receiver {
	t.Helper()
	r := &receiver{byJob: map[string][]*post{}, change: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		at := time.Now()
		meta, _ := io.ReadAll(req.Body) // what is missing shows in a comparison
		p := &post{
			job: req.Header.Get(job.HeaderJobID), fire: req.Header.Get(job.HeaderID),
			meta: string(meta), header: req.Header, at: at,
		}
		r.note(func() {
			r.posts = append(r.posts, p)
			r.byJob[p.job] = append(r.byJob[p.job], p)
		})
		if status != nil {
			w.WriteHeader(status(req, *p))
		}
		r.note(func() { p.answered = time.Now() })
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *receiver) note(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	close(r.change)
	r.change = make(chan struct{})
}

// jobs returns what has come in so far, by job.
func (r *receiver) jobs() map[string][]post {
	r.mu.Lock()
	defer r.mu.Unlock()
	jobs := make(map[string][]post, len(r.byJob))
	for id, posts := range r.byJob {
		for _, p := range posts {
			jobs[id] = append(jobs[id], *p)
		}
	}
	return jobs
}

// waitFor waits until so many different jobs have come in, and returns them.
func (r *receiver) waitFor(t *testing.T, jobs int) map[string][]post {
	t.Helper()
	r.wait(t, func() string {
		if len(r.byJob) < jobs {
			return fmt.Sprintf("%d jobs have arrived, want %d", len(r.byJob), jobs)
		}
		return ""
	})
	return r.jobs()
}

// wait waits until look finds nothing missing, as long as something keeps happening.
// It calls look with r.mu held.
func (r *receiver) wait(t *testing.T, look func() (amiss string)) {
	t.Helper()
	for {
		r.mu.Lock()
		amiss, change := look(), r.change
		r.mu.Unlock()
		if amiss == "" {
			return
		}
		select {
		case <-change:
		case <-time.After(patience):
			t.Fatalf("nothing has happened for %v: %s", patience, amiss)
		}
	}
}

// waitEach waits until there is nothing amiss with the posts of each job. Posts
// that are right must stay right: each job is looked at until it is, and no
// longer, or thousands of jobs would be looked at with each of their posts.
func (r *receiver) waitEach(t *testing.T, jobs []plannedJob, arrived func(posts []*post) bool) {
	t.Helper()
	next := 0
	r.wait(t, func() string {
		for ; next < len(jobs); next++ {
			if !arrived(r.byJob[jobs[next].id]) {
				return "job " + jobs[next].id + " has not arrived"
			}
		}
		return ""
	})
}

// some reports whether there is a post.
func some(posts []*post) bool { return len(posts) > 0 }

// since returns whether the last post came after a moment.
func since(moment time.Time) func(posts []*post) bool {
	return func(posts []*post) bool { return some(posts) && posts[len(posts)-1].at.After(moment) }
}

// route creates a REST route of db that leads to the receiver.
func (r *receiver) route(t *testing.T, p *running, id string) {
	t.Helper()
	p.must(t, http.MethodPost, "/route/db", fmt.Sprintf(`{"id":%q,"type":"REST","webhook_url":%q}`, id, r.url))
}
