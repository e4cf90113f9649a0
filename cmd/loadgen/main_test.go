package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"belfry/api/client"
	"belfry/internal/porttest"
)

// asBelfry makes the test binary behave as a belfry that serves nothing.
const asBelfry = "LOADGEN_TEST_AS_BELFRY"

func TestMain(m *testing.M) {
	switch os.Getenv(asBelfry) {
	case "":
		os.Exit(m.Run())
	case "ready":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		fmt.Fprintln(os.Stderr, `{"level":"INFO","msg":"starting"}`)
		fmt.Fprintln(os.Stderr, `{"level":"WARN","msg":"slow disk"}`)
		fmt.Fprintln(os.Stderr, `{"level":"INFO","msg":"belfry is listening","api":"http://127.0.0.1:1"}`)
		<-stop
	case "broken":
		fmt.Fprintln(os.Stderr, "belfry: no such file")
		os.Exit(1)
	}
}

func TestStartBelfry(t *testing.T) {
	t.Setenv(asBelfry, "ready")
	var log bytes.Buffer
	url, stop, err := startBelfry(t.Context(), os.Args[0], "", &log)
	if err != nil {
		t.Fatalf("startBelfry: %v", err)
	}
	if want := "http://127.0.0.1:1"; url != want {
		t.Errorf("startBelfry: the API is at %q, want %q", url, want)
	}
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if got, want := log.String(), `{"level":"WARN","msg":"slow disk"}`+"\n"; got != want {
		t.Errorf("showed %q of the log, want %q", got, want)
	}
	checkNothingLeft(t)
}

func TestStartBelfryThatFails(t *testing.T) {
	t.Setenv(asBelfry, "broken")
	var log bytes.Buffer
	_, _, err := startBelfry(t.Context(), os.Args[0], "", &log)
	if err == nil || !strings.Contains(err.Error(), "ended before it was ready: exit status 1") {
		t.Errorf("startBelfry: %v, want that it ended before it was ready", err)
	}
	if got, want := log.String(), "belfry: no such file\n"; got != want {
		t.Errorf("showed %q of the log, want %q", got, want)
	}
	checkNothingLeft(t)
}

func checkNothingLeft(t *testing.T) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(filepath.Dir(os.Args[0]), "loadgen-data-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v), want nothing", left, err)
	}
}

// fake is a Belfry in memory that treats one job badly.
type fake struct {
	fault  string
	firing sync.WaitGroup

	mu     sync.Mutex
	target string
	routes int
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ofRoute := strings.HasPrefix(r.URL.Path, "/route/")
	var route client.NewRoute
	var body client.NewJob
	read := any(&body)
	if ofRoute {
		read = &route
	}
	if r.Method == http.MethodPost && json.NewDecoder(r.Body).Decode(read) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	switch {
	case r.Method == http.MethodDelete:
		f.routes--
	case ofRoute:
		f.routes++
		f.target = route.WebhookURL
	case body.ID == "3" && f.fault == "refused":
		http.Error(w, `{"code":"E302"}`, http.StatusServiceUnavailable)
	case body.ID == "3":
		f.fire(body.ID, time.UnixMilli(body.TriggerTime), f.fault)
	default:
		f.fire(body.ID, time.UnixMilli(body.TriggerTime), "")
	}
}

func (f *fake) fire(job string, due time.Time, fault string) {
	target, times := f.target, 1
	switch fault {
	case "early":
		due = due.Add(-2 * time.Second) // more than a busy machine makes up for
	case "lost":
		times = 0
	case "twice":
		times = 2
	}
	f.firing.Go(func() {
		time.Sleep(time.Until(due))
		for range times {
			req, _ := http.NewRequest(http.MethodPost, target, nil)
			req.Header.Set("Belfry-Job-Id", job)
			req.Header.Set("webhook-id", "fire-"+job)
			if rsp, err := http.DefaultClient.Do(req); err == nil {
				rsp.Body.Close()
			}
		}
	})
}

func TestRunTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	const long = "30s" // the test does not wait that long when all have arrived
	for _, tt := range []struct{ fault, settle, want string }{
		{"", long, ""},
		{"lost", "5s", "1 jobs are lost"},
		{"twice", long, "1 arrivals are repeats"},
		{"early", long, "1 jobs arrived early"},
		{"refused", long, `1 jobs were not created, the first with: status 503: {"code":"E302"}`},
	} {
		t.Run("fault "+tt.fault, func(t *testing.T) {
			t.Parallel()
			f := &fake{fault: tt.fault}
			server := httptest.NewServer(f)
			defer server.Close()
			var out, log bytes.Buffer
			err := run(t.Context(), []string{"--server", server.URL, "--jobs", "20", "--over", "100ms",
				"--ahead", "3s", "--settle", tt.settle, "--json"}, &out, &log)
			f.firing.Wait()
			if got := errorText(err); got != tt.want {
				t.Errorf("run: got error %q, want %q; it printed %s", got, tt.want, &out)
			}
			if f.routes != 0 {
				t.Errorf("%d routes left behind, want none", f.routes)
			}
		})
	}
}

func TestBadArguments(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"now"}, `unexpected argument "now"; see loadgen --help`},
		{[]string{"--jobs", "0"}, "--jobs and --clients must be at least 1"},
		{[]string{"--clients", "0"}, "--jobs and --clients must be at least 1"},
		{[]string{"--over", "-1s"}, "--over, --ahead and --settle must not be negative"},
		{[]string{"--max-p50", "soon"}, `invalid value "soon" for flag -max-p50: parse error`},
	} {
		var out, log bytes.Buffer
		if err := run(t.Context(), tt.args, &out, &log); errorText(err) != tt.want {
			t.Errorf("loadgen %q: error %q, want %q", tt.args, errorText(err), tt.want)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	var out, log bytes.Buffer
	err := run(t.Context(), []string{"--server", "http://" + porttest.Unused(t)}, &out, &log)
	if err == nil || !strings.HasPrefix(err.Error(), "couldn't create the route: ") {
		t.Errorf("run without a server: %v, want that the route couldn't be created", err)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	start := time.UnixMilli(1_700_000_000_000).Add(300 * time.Microsecond)
	jobs := load{jobs: 4, over: 2 * time.Second, ahead: time.Second}.plan(start)
	for i, j := range jobs {
		want := time.UnixMilli(1_700_000_001_000 + 500*int64(i))
		if !j.due.Equal(want) {
			t.Errorf("job %d of 4 over 2 s is due at %v, want %v", i, j.due, want)
		}
	}
}
