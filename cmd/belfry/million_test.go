package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"belfry/api/client"
)

var residentBytes = regexp.MustCompile(`(?m)^process_resident_memory_bytes (\S+)$`)

// resident returns how much memory the process has.
func (p *running) resident(t *testing.T) int64 {
	t.Helper()
	found := residentBytes.FindStringSubmatch(p.must(t, http.MethodGet, "/metrics", ""))
	if found == nil {
		t.Fatal("the metrics have no process_resident_memory_bytes")
	}
	bytes, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return int64(bytes)
}

// Jobs without number are created in one request, listed page by page in bounded
// memory, each once, and cancelled by filter.
func TestListingManyJobsUsesBoundedMemory(t *testing.T) {
	besideOthers(t)
	plays(t)
	jobs, most := 10_000, 4000 // that are cancelled in one request
	if *full {
		jobs, most = 1_000_000, 10_000
	}
	p := startProgram(t, t.TempDir())
	p.must(t, http.MethodPost, "/route/db", `{"id":"r","type":"NATS"}`)

	began := time.Now()
	due := began.Add(24 * time.Hour).UnixMilli()
	lines, writer := io.Pipe()
	go func() {
		w := bufio.NewWriterSize(writer, 64<<10)
		for i := range jobs {
			fmt.Fprintf(w, `{"id":"job-%d","trigger_time":%d,"meta":{"order":%d,"note":"a payment that times out"},"route":"r"}`+"\n", i, due+int64(i%100_000), i)
		}
		writer.CloseWithError(w.Flush())
	}()
	rsp, err := http.Post(p.ready["api"]+"/bulk/db/coll", "application/x-ndjson", lines)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	created := 0
	for answers := bufio.NewScanner(rsp.Body); answers.Scan(); created++ {
		if !strings.Contains(answers.Text(), `"status":"ok"`) {
			t.Fatalf("answer %d is %s", created+1, answers.Text())
		}
	}
	took := time.Since(began)
	t.Logf("created %d jobs in %v", created, took.Round(time.Millisecond))
	if created != jobs {
		t.Fatalf("%d of %d jobs were created", created, jobs)
	}
	if *full && took > time.Minute {
		t.Errorf("to create %d jobs took %v, want at most a minute", jobs, took)
	}

	before := p.resident(t)
	peak, seen := before, make([]bool, jobs)
	began = time.Now()
	p.walk(t, "/job/db?limit=1000", func(page int, ids []string) {
		for _, id := range ids {
			i, err := strconv.Atoi(strings.TrimPrefix(id, "job-"))
			if err != nil || i >= jobs || seen[i] {
				t.Fatalf("the list has %q, once more or without reason", id)
			}
			seen[i] = true
		}
		if page%50 == 0 {
			peak = max(peak, p.resident(t))
		}
	})
	for i, listed := range seen {
		if !listed {
			t.Fatalf("job-%d is not in the list", i)
		}
	}
	t.Logf("listed them in %v, with %.1f MiB more than the %.1f MiB before", time.Since(began).Round(time.Millisecond),
		float64(peak-before)/(1<<20), float64(before)/(1<<20))
	if peak-before > 100<<20 {
		t.Errorf("listing took %d bytes of memory, want at most 100 MiB", peak-before)
	}

	began = time.Now()
	cancelled := 0
	for filter := (client.Cancel{JobQuery: client.JobQuery{Route: "r", Limit: most}}); ; {
		var part client.Cancelled
		p.answer(t, http.MethodPost, "/cancel/db", string(must(client.Encode(filter))), &part)
		cancelled += part.Cancelled
		if filter.Cursor = part.Cursor; filter.Cursor == "" {
			break
		}
	}
	t.Logf("cancelled %d by their route in %v", cancelled, time.Since(began).Round(time.Millisecond))
	if cancelled != jobs {
		t.Errorf("%d of %d jobs were cancelled", cancelled, jobs)
	}
	p.walk(t, "/job/db?status=scheduled", func(_ int, ids []string) {
		if len(ids) > 0 {
			t.Errorf("after that there are jobs left: %q", ids)
		}
	})
}
