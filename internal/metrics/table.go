package metrics

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Metric describes one metric.
type Metric struct {
	Name   string
	Type   string // counter, gauge or histogram
	Labels []string
	Help   string // a sentence
}

// set makes metrics, registers them, and keeps a table of them.
type set struct {
	registry *prometheus.Registry
	table    []Metric
}

func (s *set) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	s.add(c, Metric{name, "counter", labels, help})
	return c
}

func (s *set) counter(name, help string) prometheus.Counter {
	return s.counters(name, help).WithLabelValues()
}

func (s *set) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	s.add(g, Metric{name, "gauge", labels, help})
	return g
}

func (s *set) gauge(name, help string) prometheus.Gauge {
	return s.gauges(name, help).WithLabelValues()
}

func (s *set) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	s.add(h, Metric{name, "histogram", labels, help})
	return h
}

func (s *set) histogram(name, help string, buckets []float64) prometheus.Observer {
	return s.histograms(name, help, buckets).WithLabelValues()
}

func (s *set) add(c prometheus.Collector, m Metric) {
	s.registry.MustRegister(c)
	s.table = append(s.table, m)
}

// These are the bucket bounds of histograms, in seconds.
var (
	// lateBuckets are for durations of a millisecond on good days and maybe hours on
	// bad ones.
	lateBuckets = []float64{.0005, .001, .002, .003, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600}
	// callBuckets are for calls, whose duration is bounded.
	callBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
)

// each looks up the series of each value of a vector's only label.
func each[L ~string](c *prometheus.CounterVec, values []L) map[L]prometheus.Counter {
	all := make(map[L]prometheus.Counter, len(values))
	for _, v := range values {
		all[v] = c.WithLabelValues(string(v))
	}
	return all
}

// count adds one to the series of a value. A value that is not in the fixed list is
// not counted.
func count[L ~string](all map[L]prometheus.Counter, value L) {
	if c, ok := all[value]; ok {
		c.Inc()
	}
}

// Markdown returns the table as docs/operations.md prints it.
func (m *Metrics) Markdown() string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range m.set.table {
		labels := "–"
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, labels, m.Help)
	}
	return b.String()
}
