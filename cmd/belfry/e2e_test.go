package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
)

// The end-to-end tests run the real program in a process of its own, talk to
// it over REST, and receive on real HTTP servers. Where the API does not show
// enough, they look into JetStream with plain nats.go, as an operator would.
// Those that load the machine do not run in parallel.

// patience is how long an event may take that is sure to come, on a machine
// that has much else to do.
const patience = time.Minute

// answer is what the API said.
type answer struct {
	status int
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// ok reports whether the answer is the 200 of a write.
func (a answer) ok() bool { return a.status == http.StatusOK && a.body == `{"status":"ok"}` }

// tooLate reports whether the answer is the 400 of a change that came after
// the job had begun to fire.
func (a answer) tooLate() bool {
	return a.status == http.StatusBadRequest &&
		(strings.HasSuffix(a.body, `"code":"E103"}`) || strings.HasSuffix(a.body, `"code":"E104"}`))
}

var apiClient = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}

// do sends one request to the process. It is safe for concurrent use.
func (p *running) do(method, path, body string) (answer, error) {
	return p.doIfMatch(method, path, "", body)
}

// doIfMatch is do with the ETag, if it is not empty.
func (p *running) doIfMatch(method, path, etag, body string) (answer, error) {
	req, err := http.NewRequest(method, p.ready["api"]+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if etag != "" {
		req.Header.Set("If-Match", etag)
	}
	rsp, err := apiClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer rsp.Body.Close()
	got, err := io.ReadAll(rsp.Body)
	return answer{rsp.StatusCode, string(bytes.TrimSpace(got))}, err
}

// insist is [running.do] for a client that does as Retry-After says: it repeats
// the request while the answer is 503, which a belfry on a machine with too
// much to do gives, and reports how often.
func (p *running) insist(method, path, body string) (a answer, repeats int, err error) {
	for deadline := time.Now().Add(patience); ; repeats++ {
		a, err = p.do(method, path, body)
		if err != nil || a.status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			return a, repeats, err
		}
		time.Sleep(time.Second)
	}
}

// must sends one request that is to be answered 200, and returns the body.
func (p *running) must(t *testing.T, method, path, body string) string {
	t.Helper()
	a, _, err := p.insist(method, path, body)
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("%s %s %s: %v (%v), want 200", method, path, body, a, err)
	}
	return a.body
}

// record is the answer to a GET of a job.
type record struct {
	ID          string          `json:"id"`
	TriggerTime int64           `json:"trigger_time"`
	Meta        json.RawMessage `json:"meta"`
	Route       string          `json:"route"`
	Status      job.Status      `json:"status"`
	Attempt     int             `json:"attempt"`
	Reason      job.Reason      `json:"reason"`
	Detail      string          `json:"detail"`
}

func (p *running) get(t *testing.T, path string) record {
	t.Helper()
	body := p.must(t, http.MethodGet, path, "")
	var r record
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("GET %s: %s is not a job: %v", path, body, err)
	}
	return r
}

// becomes waits until the job has the status, and returns it.
func (p *running) becomes(t *testing.T, path string, want job.Status) record {
	t.Helper()
	var r record
	eventually(t, func() string {
		if r = p.get(t, path); r.Status != want {
			return fmt.Sprintf("GET %s: status is %q, want %q", path, r.Status, want)
		}
		return ""
	})
	return r
}

// eventually repeats look until it finds nothing amiss. It is for what gives
// no sign of its own when it has happened.
func eventually(t *testing.T, look func() (amiss string)) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		amiss := look()
		if amiss == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %s", patience, amiss)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// few returns a t.Errorf that shows the first ten faults and counts the others,
// for tests of thousands of jobs. It is safe for concurrent use.
func few(t *testing.T) func(format string, args ...any) {
	const shown = 10
	var faults atomic.Int64
	t.Cleanup(func() {
		if more := faults.Load() - shown; more > 0 {
			t.Errorf("and %d more like these", more)
		}
	})
	return func(format string, args ...any) {
		t.Helper()
		if faults.Add(1) <= shown {
			t.Errorf(format, args...)
		}
	}
}

// timer is a job as the tests plan it.
type timer struct {
	id   string
	due  time.Time
	meta string
}

// timers plans n jobs, due evenly over a span from start on.
func timers(n int, start time.Time, span time.Duration) []timer {
	all := make([]timer, n)
	for i := range all {
		due := start.Add(span * time.Duration(i) / time.Duration(n)).Truncate(time.Millisecond)
		all[i] = timer{id: strconv.Itoa(i), due: due, meta: fmt.Sprintf(`{"n": %d}`, i)}
	}
	return all
}

func (j timer) body(route string) string {
	id, _ := json.Marshal(j.id) // a string always has a form
	to, _ := json.Marshal(route)
	return fmt.Sprintf(`{"id":%s,"trigger_time":%d,"meta":%s,"route":%s}`, id, j.due.UnixMilli(), j.meta, to)
}

// create creates jobs in /job/db/coll, many at once, all of which must be
// answered 200.
func (p *running) create(t *testing.T, jobs []timer, route string) {
	t.Helper()
	began := time.Now()
	errorf := few(t)
	inParallel(len(jobs), 64, func(i int) {
		if a, _, err := p.insist(http.MethodPost, "/job/db/coll", jobs[i].body(route)); err != nil || !a.ok() {
			errorf("POST of job %s: %v (%v), want 200", jobs[i].id, a, err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	t.Logf("created %d jobs in %v", len(jobs), time.Since(began).Round(time.Millisecond))
}

// createBulk is create in one request.
func (p *running) createBulk(t *testing.T, jobs []timer, route string) {
	t.Helper()
	began := time.Now()
	var lines strings.Builder
	for _, j := range jobs {
		lines.WriteString(j.body(route) + "\n")
	}
	answers := p.must(t, http.MethodPost, "/bulk/db/coll", lines.String())
	if stored := strings.Count(answers, `"status":"ok"`); stored != len(jobs) {
		t.Fatalf("%d of %d jobs were stored: %.2000s", stored, len(jobs), answers)
	}
	t.Logf("created %d jobs in %v", len(jobs), time.Since(began).Round(time.Millisecond))
}

// inParallel calls do with every number below n, from that many workers, and
// returns when all is done.
func inParallel(n, workers int, do func(i int)) {
	var next atomic.Int64
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	working.Wait()
}

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

// receiver is an HTTP server that notes what it gets.
type receiver struct {
	url string

	mu     sync.Mutex // guards what follows
	posts  []*post
	byJob  map[string][]*post
	change chan struct{} // closed when a request begins or ends
}

// newReceiver starts a receiver. status says how to answer a request, and can
// take its time; nil is 200.
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

// wait waits until nothing is amiss, as long as something keeps happening. look
// is called with r.mu held.
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

// route creates a REST route of db that leads to the receiver.
func (r *receiver) route(t *testing.T, p *running, id string) {
	t.Helper()
	p.must(t, http.MethodPost, "/route/db", fmt.Sprintf(`{"id":%q,"type":"REST","webhook_url":%q}`, id, r.url))
}

// jetStream connects to the process's NATS server like any client.
func (p *running) jetStream(t *testing.T) jetstream.JetStream {
	t.Helper()
	return connect(t, p.ready["nats"])
}

func connect(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatalf("couldn't connect to %s: %v", url, err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// settled waits until nothing is left in the route's inbox: neither a fire
// that waits nor one that somebody works on.
func settled(t *testing.T, js jetstream.JetStream, consumer string) {
	t.Helper()
	c, err := js.Consumer(t.Context(), "FIRES", consumer)
	if err != nil {
		t.Fatalf("the consumer %s of FIRES: %v", consumer, err)
	}
	eventually(t, func() string {
		info, err := c.Info(t.Context())
		if err != nil || info.NumPending > 0 || info.NumAckPending > 0 {
			return fmt.Sprintf("consumer %s: %+v (%v), want nothing pending", consumer, info, err)
		}
		return ""
	})
}

// message is one message of a stream.
type message struct {
	at      time.Time // when it was stored
	subject string
	header  nats.Header
	data    string
}

// messages returns everything on a subject of a stream, in order.
func messages(t *testing.T, js jetstream.JetStream, stream, subject string) []message {
	t.Helper()
	c, err := js.OrderedConsumer(t.Context(), stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		t.Fatalf("couldn't read %s: %v", stream, err)
	}
	info, err := c.Info(t.Context())
	if err != nil {
		t.Fatalf("couldn't read %s: %v", stream, err)
	}
	if info.NumPending == 0 {
		return nil
	}
	it, err := c.Messages()
	if err != nil {
		t.Fatalf("couldn't read %s: %v", stream, err)
	}
	defer it.Stop()
	var all []message
	for {
		m, err := it.Next(jetstream.NextMaxWait(patience))
		if err != nil {
			t.Fatalf("couldn't read %s: %v", stream, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, message{meta.Timestamp, m.Subject(), m.Headers(), string(m.Data())})
		if meta.NumPending == 0 {
			return all
		}
	}
}

// lateness returns how late each job's first request was, in order.
func lateness(t *testing.T, jobs []timer, got map[string][]post) []time.Duration {
	t.Helper()
	var late []time.Duration
	for _, j := range jobs {
		if posts := got[j.id]; len(posts) > 0 {
			late = append(late, posts[0].at.Sub(j.due))
		}
	}
	slices.Sort(late)
	if len(late) > 0 && late[0] < 0 {
		t.Errorf("a job arrived %v before its time", -late[0])
	}
	return late
}

// p99 returns the 99th percentile of sorted durations, 0 of none.
func p99(sorted []time.Duration) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*99-1)/100]
}
