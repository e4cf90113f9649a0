package main

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/internal/logtest"
	"belfry/internal/natstest"
	"belfry/internal/waittest"
)

// While NATS is away under load, the log has each cause once a second, however many
// jobs, routes and requests it holds up.
func TestLogOfAnOutage(t *testing.T) {
	t.Parallel()
	outages := []struct {
		name string
		away func(*natstest.Server) error
		told []string // causes that have to be there
	}{
		{
			name: "the server is gone",
			away: func(ns *natstest.Server) error { ns.Stop(); return nil },
			told: []string{`msg="lost the connection to NATS"`, `msg="request failed" code=E302`, `msg="fires cannot be fetched"`},
		},
		{
			name: "JetStream is gone",
			away: func(ns *natstest.Server) error { return ns.DisableJetStream() },
			told: []string{`msg="request failed" code=E302`, `msg="fires cannot be fetched"`},
		},
	}
	for _, outage := range outages {
		t.Run(outage.name, func(t *testing.T) {
			t.Parallel()
			ns := natstest.Start(t)
			var log logtest.Log
			s := New(Config{Listen: "127.0.0.1:0", NATSURL: "nats://" + ns.Addr().String()}, log.Logger())
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Stop(context.WithoutCancel(t.Context())) })
			in := newReceiver(t, nil)
			const routes, jobs = 60, 1200
			for i := range routes {
				status, body := call(t, s, http.MethodPost, "/route/db", fmt.Sprintf(`{"id":"r%d","type":"REST","webhook_url":%q%s}`, i,
					in.url, []string{``, `,"rate_limit":{"per_second":5,"burst":1}`, `,"concurrency":1`}[i%3]))
				if status != http.StatusOK {
					t.Fatalf("route %d: %d %s", i, status, body)
				}
			}
			began := time.Now()
			for i := range jobs { // for the outage, and some before it
				due := began.Add(time.Second + time.Duration(i)*10*time.Millisecond)
				status, body := call(t, s, http.MethodPost, "/job/db/coll", fmt.Sprintf(`{"id":"%d","route":"r%d","trigger_time":%d,"meta":%d}`, i, i%routes, due.UnixMilli(), i))
				if status != http.StatusOK {
					t.Fatalf("job %d: %d %s", i, status, body)
				}
			}
			waittest.Eventually(t, func() string {
				if n := len(in.jobs()); n < 20 {
					return fmt.Sprint(n, " jobs arrived")
				}
				return ""
			})

			// Clients go on to ask, whatever they are answered.
			var stop atomic.Bool
			var clients sync.WaitGroup
			for c := range 16 {
				clients.Go(func() {
					for n := 0; !stop.Load(); n++ {
						for _, ask := range []struct{ method, path, body string }{
							{http.MethodGet, fmt.Sprint("/job/db/coll/", n%jobs), ""},
							{http.MethodPost, "/job/db/more", fmt.Sprintf(`{"id":"%d-%d","route":"r1","trigger_time":%d,"meta":1}`, c, n, time.Now().Add(time.Hour).UnixMilli())},
							{http.MethodGet, "/readyz", ""},
						} {
							req, err := http.NewRequestWithContext(t.Context(), ask.method, "http://"+s.Addr()+ask.path, strings.NewReader(ask.body))
							if err != nil {
								return
							}
							if rsp, err := http.DefaultClient.Do(req); err == nil {
								_ = rsp.Body.Close()
							}
						}
					}
				})
			}
			if err := outage.away(ns); err != nil {
				t.Fatal(err)
			}
			waittest.Eventually(t, func() string {
				for _, cause := range outage.told {
					if !strings.Contains(log.String(), cause) {
						return "the log does not have " + cause
					}
				}
				return ""
			})
			time.Sleep(6 * time.Second) // so many seconds of log are looked at
			ns.Restart()
			stop.Store(true)
			clients.Wait()
			waittest.Eventually(t, func() string {
				for _, i := range []int{0, jobs / 2, jobs - 1} {
					if _, body := call(t, s, http.MethodGet, fmt.Sprint("/job/db/coll/", i), ""); !strings.Contains(body, string(job.Delivered)) {
						return fmt.Sprintf("job %d: %s", i, body)
					}
				}
				return ""
			})
			oncePerSecond(t, log.String())
			if !strings.Contains(log.String(), "left_out=") {
				t.Error("the log does not say how many lines were left out")
			}
		})
	}
}

// perPartition are the lines that a start and the end of an outage log once for each
// partition.
var perPartition = []string{`msg=firing`, `msg="settling the claims`, `msg="another process fires`}

var (
	logLine = regexp.MustCompile(`^time=(\S+) level=(\S+) (msg=(?:"[^"]*"|\S+)(?: code=\S+)?(?: lines=(?:"[^"]*"|\S+))?)`)
	reason  = regexp.MustCompile(` reason="[^"]*"`)
	slack   = 950 * time.Millisecond // a second, and a moment between its stamp and the limit
)

// oncePerSecond checks that no cause has two lines within a second.
func oncePerSecond(t *testing.T, log string) {
	t.Helper()
	last, count := map[string]time.Time{}, map[string]int{}
	for line := range strings.Lines(log) {
		m := logLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("%q is no line of the log", line)
		}
		at, err := time.Parse(time.RFC3339Nano, m[1])
		if err != nil {
			t.Fatal(err)
		}
		cause := m[2] + " " + m[3] + reason.FindString(line)
		if m[2] == "DEBUG" || slices.ContainsFunc(perPartition, func(line string) bool { return strings.HasPrefix(m[3], line) }) {
			continue
		}
		if gap := at.Sub(last[cause]); gap < slack {
			t.Errorf("two lines in %v: %s", gap, line)
		}
		last[cause] = at
		count[cause]++
	}
	for cause, n := range count {
		t.Logf("%4d %s", n, cause)
	}
}
