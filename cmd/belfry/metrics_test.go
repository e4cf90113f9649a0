package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"belfry/internal/metrics"
	"belfry/internal/waittest"
)

// A job that goes all the way shows in the metrics of each part.
func TestMetricsOfAJob(t *testing.T) {
	t.Parallel()
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer receiver.Close()
	s := startServer(t, freePorts(t))
	for _, r := range []struct{ path, body string }{
		{"/route/games", fmt.Sprintf(`{"id":"gameServer","type":"REST","webhook_url":%q}`, receiver.URL)},
		{"/job/games/matches", fmt.Sprintf(`{"id":"m","trigger_time":%d,"route":"gameServer"}`, time.Now().UnixMilli())},
	} {
		if status, body := call(t, s, http.MethodPost, r.path, r.body); status != http.StatusOK {
			t.Fatalf("POST %s: %d %s", r.path, status, body)
		}
	}
	want := []string{
		`belfry_delivery_tries_total{db="games",outcome="delivered",route="gameServer"} 1`,
		`belfry_jobs_finished_total{status="delivered"} 1`,
		`belfry_timer_fires_total{type="REST"} 1`,
		`belfry_api_requests_total{method="POST",path="/job/{db}/{collection}",status="200"} 1`,
	}
	waittest.Eventually(t, func() string {
		_, text := call(t, s, http.MethodGet, "/metrics", "")
		missing := slices.DeleteFunc(slices.Clone(want), func(line string) bool { return strings.Contains(text, line+"\n") })
		if len(missing) > 0 {
			return fmt.Sprintf("missing: %v", missing)
		}
		return ""
	})
}

// The documents and the dashboard name no metric that there is not.
func TestDocumentedMetrics(t *testing.T) {
	t.Parallel()
	types := map[string]string{}
	for _, m := range metrics.New(metrics.Build{}).Table() {
		types[m.Name] = m.Type
	}
	name := regexp.MustCompile(`\bbelfry_[a-z0-9_]+`)
	for _, file := range []string{"../../docs/operations.md", "../../docs/grafana.json"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := name.FindAllString(string(data), -1)
		if len(found) == 0 {
			t.Errorf("%s names no metric", file)
		}
		for _, n := range found {
			base := n
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if whole, ok := strings.CutSuffix(n, suffix); ok && types[whole] == "histogram" {
					base = whole
				}
			}
			if types[base] == "" {
				t.Errorf("%s names %s, which is no metric", file, n)
			}
		}
	}
}
