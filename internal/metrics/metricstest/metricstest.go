// Package metricstest reads metrics in tests.
package metricstest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"belfry/internal/metrics"
)

// New returns metrics for one test.
func New() *metrics.Metrics { return metrics.New(metrics.Build{Version: "test"}) }

// Value returns the value of one series as a scraper sees it, such as
// belfry_jobs_waiting{partition="0"} with sorted labels. A series that has recorded
// nothing yet is 0; a series that cannot exist fails the test.
func Value(t testing.TB, m *metrics.Metrics, series string) float64 {
	t.Helper()
	if !possible(m, series) {
		t.Fatalf("%s: there is no metric with this name and these labels", series)
	}
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

var label = regexp.MustCompile(`(\w+)="[^"]*"`)

// possible reports whether a metric has the name of the series and its labels.
func possible(m *metrics.Metrics, series string) bool {
	name, _, _ := strings.Cut(series, "{")
	var labels []string
	for _, one := range label.FindAllStringSubmatch(series, -1) {
		labels = append(labels, one[1])
	}
	return slices.ContainsFunc(m.Table(), func(of metrics.Metric) bool {
		want := slices.Sorted(slices.Values(of.Labels))
		if of.Type != "histogram" {
			return name == of.Name && slices.Equal(labels, want)
		}
		switch strings.TrimPrefix(name, of.Name) {
		case "_count", "_sum":
			return slices.Equal(labels, want)
		case "_bucket":
			return slices.Equal(labels, append(want, "le"))
		}
		return false
	})
}
