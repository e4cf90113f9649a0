package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"belfry/api/client"
)

// Clients of one db that read much, or do not read at all, delay no other db: no
// connection to NATS is lost, and the memory stays within its bound.

// largeMeta is nearly as long as a meta may be.
var largeMeta = `"` + strings.Repeat("x", 500<<10) + `"`

// Many clients list a db with large jobs at the same time. All of them get all of it.
func TestReadersOfLargeJobsDelayNoOtherDB(t *testing.T) {
	besideOthers(t)
	plays(t)
	c := newCrowd(t)
	const readers = 8
	jobs, rounds := 40, 1 // all of them are more than may be on its way
	if *full {
		jobs, rounds = 120, 10
	}
	c.createBig(t, jobs, largeMeta)
	c.delaysNobody(t, func(context.Context) {
		inParallel(readers*rounds, readers, func(int) {
			listed, path := 0, "/job/big?limit=1000"
			for path != "" { // a page ends when its time is over
				a, _, err := c.insist(http.MethodGet, path, "")
				var page client.Jobs
				if err == nil {
					err = json.Unmarshal([]byte(a.body), &page)
				}
				if err != nil || a.status != http.StatusOK || len(page.Jobs) == 0 || page.Jobs[0].TriggerTime != farAway {
					t.Errorf("a list is answered %d with %d jobs, %v; want 200 with some", a.status, len(page.Jobs), err)
					return
				}
				if listed, path = listed+len(page.Jobs), ""; page.Cursor != "" {
					path = "/job/big?limit=1000&cursor=" + page.Cursor
				}
			}
			if listed != jobs {
				t.Errorf("%d jobs are listed, want %d", listed, jobs)
			}
		})
		for i := range 3 {
			if a, _, err := c.insist(http.MethodGet, fmt.Sprintf("/job/big/coll/%d", i), ""); err != nil || !strings.Contains(a.body, largeMeta) {
				t.Errorf("job %d is answered %.200v, %v; want all of it", i, a, err)
			}
		}
	})
}

// Hundreds of connections ask for lists, one after the other, and read nothing.
func TestListsThatNobodyReadsDelayNoOtherDB(t *testing.T) {
	besideOthers(t)
	plays(t)
	c := newCrowd(t)
	c.createBig(t, 1000, `{}`)
	c.delaysNobody(t, func(ctx context.Context) {
		c.dialMany(t, ctx, 300, func(conn net.Conn) {
			_, _ = io.WriteString(conn, strings.Repeat("GET /job/big?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n", 50))
		})
	})
}

// The same happens with large jobs, which are answered whole.
func TestLargeJobsThatNobodyReadsDelayNoOtherDB(t *testing.T) {
	besideOthers(t)
	plays(t)
	c := newCrowd(t)
	c.createBig(t, 1, largeMeta)
	c.delaysNobody(t, func(ctx context.Context) {
		c.dialMany(t, ctx, 300, func(conn net.Conn) {
			_, _ = io.WriteString(conn, strings.Repeat("GET /job/big/coll/0 HTTP/1.1\r\nHost: localhost\r\n\r\n", 50))
		})
	})
}

// Dozens of bulks send large jobs, and read none of the answers.
func TestBulksThatNobodyReadsDelayNoOtherDB(t *testing.T) {
	besideOthers(t)
	plays(t)
	c := newCrowd(t)
	lines := 10
	if *full {
		lines = 40
	}
	c.delaysNobody(t, func(ctx context.Context) {
		c.dialMany(t, ctx, 30, func(conn net.Conn) {
			out := bufio.NewWriter(conn)
			io.WriteString(out, "POST /bulk/big/coll HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
			for i := range lines {
				line := bigJob(fmt.Sprintf("%v-%d", conn.LocalAddr(), i), largeMeta) + "\n"
				fmt.Fprintf(out, "%x\r\n%s\r\n", len(line), line)
			}
			_ = out.Flush() // the server may cut it off
		})
	})
}

// crowd is a belfry with a quiet db beside the crowded one.
type crowd struct {
	*running
	quiet *receiver
}

// farAway is when the jobs of the crowded db fire.
const farAway = 4102444800000

func bigJob(id, meta string) string {
	return fmt.Sprintf(`{"id":%q,"trigger_time":%d,"meta":%s,"route":"r"}`, id, farAway, meta)
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{startProgram(t, t.TempDir(), "--max-request-memory", "128MiB"), newReceiver(t, nil)}
	c.quiet.route(t, c.running, "quiet")
	c.must(t, http.MethodPost, "/route/big", `{"id":"r","type":"NATS"}`)
	return c
}

func (c *crowd) createBig(t *testing.T, n int, meta string) {
	t.Helper()
	for begin := 0; begin < n; begin += 20 {
		var body strings.Builder
		for i := begin; i < min(n, begin+20); i++ {
			body.WriteString(bigJob(fmt.Sprint(i), meta) + "\n")
		}
		answers := c.must(t, http.MethodPost, "/bulk/big/coll", body.String())
		if strings.Contains(answers, `"error"`) {
			t.Fatalf("not all jobs were stored: %.2000s", answers)
		}
	}
}

// dialMany runs do on that many connections, none of which reads, until ctx ends.
func (c *crowd) dialMany(t *testing.T, ctx context.Context, n int, do func(net.Conn)) {
	t.Helper()
	var all sync.WaitGroup
	for range n {
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.ready["api"], "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		all.Go(func() { do(conn) })
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		defer stop()
	}
	<-ctx.Done()
	all.Wait()
}

// delaysNobody measures how late the quiet db fires, alone and during crowd, and checks
// Belfry's promises meanwhile. crowd may go on until its context ends.
func (c *crowd) delaysNobody(t *testing.T, crowd func(context.Context)) {
	t.Helper()
	jobs, span := 50, time.Second
	if *full {
		jobs, span = 2000, 20*time.Second
	}
	measure := func(name string) time.Duration {
		all := plannedJobs(jobs, time.Now().Add(2*time.Second), span)
		for i := range all {
			all[i].id = name + "-" + all[i].id
		}
		c.createBulk(t, all, "quiet")
		c.quiet.waitEach(t, all, some)
		late := lateness(t, all, c.quiet.jobs())
		t.Logf("%s: p50 %v, p99 %v, at most %v", name, late[len(late)/2], p99(late), late[len(late)-1])
		return p99(late)
	}
	var alone time.Duration
	if *full {
		alone = measure("alone")
	}
	ctx, end := context.WithCancel(t.Context())
	var beside sync.WaitGroup
	beside.Go(func() { crowd(ctx) })
	most := map[string]float64{}
	watched := make(chan struct{})
	over := sync.OnceFunc(func() {
		end()
		close(watched)
		beside.Wait()
	})
	defer over()
	beside.Go(func() {
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			for of, held := range c.memory(t) {
				most[of] = max(most[of], held)
			}
			select {
			case <-tick.C:
			case <-watched:
				tick.Stop()
				return
			}
		}
	})
	p := measure("beside")
	over()

	for of, limit := range map[string]float64{"requests": 96 << 20, "reads": 32 << 20} {
		if most[of] > limit || most["requests"] == 0 {
			t.Errorf("%s held %.0f bytes, want some, and at most %.0f", of, most[of], limit)
		}
	}
	t.Logf("held at most: %v; resident memory %.0f MiB", most, c.metric(t, "process_resident_memory_bytes")["process_resident_memory_bytes"]/(1<<20))
	for series, lost := range c.metric(t, "belfry_nats_disconnects_total") {
		if lost > 0 {
			t.Errorf("%s is %v, want that no connection was lost", series, lost)
		}
	}
	// A machine that is busy with other work says nothing about time.
	if limit := max(2*alone, 20*time.Millisecond); *full && p > limit {
		t.Errorf("beside the crowd the p99 is %v, alone %v; want at most %v", p, alone, limit)
	}
	var answer answer
	if answer, _, _ = c.insist(http.MethodGet, "/job/db?limit=1", ""); answer.status != http.StatusOK {
		t.Errorf("a list of the quiet db is answered %.300v, want 200", answer)
	}
}

// memory returns what requests hold now.
func (c *crowd) memory(t *testing.T) map[string]float64 {
	held := map[string]float64{}
	for series, bytes := range c.metric(t, "belfry_request_memory_bytes") {
		for _, of := range []string{"requests", "reads"} {
			if strings.Contains(series, `"`+of+`"`) {
				held[of] = bytes
			}
		}
	}
	return held
}

// metric returns the series of a metric.
func (c *crowd) metric(t *testing.T, name string) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	rsp, err := http.Get(c.ready["api"] + "/metrics")
	if err != nil {
		t.Error(err)
		return all
	}
	defer rsp.Body.Close()
	text, err := io.ReadAll(rsp.Body)
	if err != nil {
		t.Error(err)
		return all
	}
	for _, found := range regexp.MustCompile(`(?m)^(`+name+`(?:\{.*\})?) (\S+)$`).FindAllSubmatch(text, -1) {
		v, err := strconv.ParseFloat(string(found[2]), 64)
		if err != nil {
			t.Error(err)
		}
		all[string(found[1])] = v
	}
	if len(all) == 0 && !strings.Contains(name, "_memory_") {
		t.Errorf("there is no %s", name)
	}
	return all
}
