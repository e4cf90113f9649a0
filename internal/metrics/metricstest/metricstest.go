// Package metricstest reads metrics in tests.
package metricstest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"belfry/internal/metrics"
)

// New returns metrics for one test.
func New() *metrics.Metrics { return metrics.New(metrics.Build{Version: "test"}) }

// Value returns the value of one series as a scraper sees it, as in
// belfry_jobs_waiting{partition="0"} with the labels sorted; 0 if there is none.
func Value(t testing.TB, m *metrics.Metrics, series string) float64 {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		text, ok := strings.CutPrefix(line, series+" ")
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			t.Fatalf("%s: %v", series, err)
		}
		return v
	}
	return 0
}
